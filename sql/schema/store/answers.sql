-- answers: the tokens of each prompt's answer and distractor
-- grain: [prompt, kind, token]
CREATE TABLE answers (
    prompt_id INTEGER NOT NULL,
    kind      VARCHAR NOT NULL,
    token_id  INTEGER NOT NULL,
    token     VARCHAR NOT NULL
);
COMMENT ON TABLE answers IS 'the tokens of each prompt''s answer and distractor; grain: [prompt, kind, token]';
COMMENT ON COLUMN answers.prompt_id IS 'prompt, as in prompts';
COMMENT ON COLUMN answers.kind IS 'answer or distractor';
COMMENT ON COLUMN answers.token_id IS 'id in the model''s vocabulary';
COMMENT ON COLUMN answers.token IS 'the token as text';
