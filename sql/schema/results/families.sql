-- families: prompts grouped by the edges of their traces
-- grain: [prompt]
CREATE TABLE families (
    prompt_id  INTEGER NOT NULL,
    family     USMALLINT NOT NULL,
    place      INTEGER NOT NULL,
    silhouette DOUBLE
);
COMMENT ON TABLE families IS 'prompts grouped by the edges of their traces: average linkage on 1 - Jaccard; grain: [prompt]';
COMMENT ON COLUMN families.prompt_id IS 'prompt, as in prompts';
COMMENT ON COLUMN families.family IS 'number of the family, from 1, the largest first';
COMMENT ON COLUMN families.place IS 'position in the order of the tree, from 0: neighbours have similar traces';
COMMENT ON COLUMN families.silhouette IS 'how much closer the prompt is to its own family than to the next, from -1 to 1; null for a single family';
