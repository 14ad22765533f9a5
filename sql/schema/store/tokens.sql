-- tokens: the tokens of each prompt
-- grain: [prompt, position]
CREATE TABLE tokens (
    prompt_id INTEGER NOT NULL,
    pos       USMALLINT NOT NULL,
    token_id  INTEGER NOT NULL,
    token     VARCHAR NOT NULL
);
COMMENT ON TABLE tokens IS 'the tokens of each prompt; grain: [prompt, position]';
COMMENT ON COLUMN tokens.prompt_id IS 'prompt, as in prompts';
COMMENT ON COLUMN tokens.pos IS 'position, from 0';
COMMENT ON COLUMN tokens.token_id IS 'id in the model''s vocabulary';
COMMENT ON COLUMN tokens.token IS 'the token as text';
