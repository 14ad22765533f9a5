-- places: the place of each token in the graph
-- grain: [prompt, position]
CREATE TABLE places (
    prompt_id INTEGER NOT NULL,
    pos       USMALLINT NOT NULL,
    role      VARCHAR NOT NULL
);
COMMENT ON TABLE places IS 'the place of each token in the graph: its role, or by trace.unlabelled a substitute; grain: [prompt, position]';
COMMENT ON COLUMN places.prompt_id IS 'prompt, as in prompts';
COMMENT ON COLUMN places.pos IS 'position, from 0';
COMMENT ON COLUMN places.role IS 'role of the token, else its distance from the end (end-3) or its text in quotes; a token that is left out has no row';
