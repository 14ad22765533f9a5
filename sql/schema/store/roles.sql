-- roles: the role of a token in its prompt
-- grain: [prompt, position]
CREATE TABLE roles (
    prompt_id INTEGER NOT NULL,
    role      VARCHAR NOT NULL,
    pos       USMALLINT NOT NULL
);
COMMENT ON TABLE roles IS 'the role of a token in its prompt; grain: [prompt, position]';
COMMENT ON COLUMN roles.prompt_id IS 'prompt, as in prompts';
COMMENT ON COLUMN roles.role IS 'label by precedence: end, IO, S1, S2, S1+1, verb, end-1, IO-1, IO+1, S1-1, S2-1, then other roles of the dataset';
COMMENT ON COLUMN roles.pos IS 'position, from 0';
