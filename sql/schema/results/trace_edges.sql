-- trace_edges: the significant upstream components of every reached pair
-- grain: [root, reached pair, side, upstream]
CREATE TABLE trace_edges (
    root_layer   UTINYINT NOT NULL,
    root_head    UTINYINT NOT NULL,
    prompt_id    INTEGER NOT NULL,
    pair_id      BIGINT NOT NULL,
    layer        UTINYINT NOT NULL,
    head         UTINYINT NOT NULL,
    dest         USMALLINT NOT NULL,
    src          USMALLINT NOT NULL,
    side         side NOT NULL,
    up_layer     UTINYINT,
    up_head      UTINYINT,
    component    component NOT NULL,
    contribution DOUBLE NOT NULL,
    effect       FLOAT,
    visits       BIGINT NOT NULL
);
COMMENT ON TABLE trace_edges IS 'the significant upstream components of every reached pair; grain: [root, reached pair, side, upstream]';
COMMENT ON COLUMN trace_edges.root_layer IS 'layer of the root';
COMMENT ON COLUMN trace_edges.root_head IS 'head of the root';
COMMENT ON COLUMN trace_edges.prompt_id IS 'prompt, as in prompts';
COMMENT ON COLUMN trace_edges.pair_id IS 'attention pair, as in pairs';
COMMENT ON COLUMN trace_edges.layer IS 'layer of the head, from 0';
COMMENT ON COLUMN trace_edges.head IS 'head within its layer, from 0';
COMMENT ON COLUMN trace_edges.dest IS 'position of the dest, which attends';
COMMENT ON COLUMN trace_edges.src IS 'position of the src, which is attended to';
COMMENT ON COLUMN trace_edges.side IS 'token of the pair that is written to: dest or src';
COMMENT ON COLUMN trace_edges.up_layer IS 'layer of the writer; null for embed and pos_embed';
COMMENT ON COLUMN trace_edges.up_head IS 'head of the writer; null unless component is head';
COMMENT ON COLUMN trace_edges.component IS 'kind of the writer: head, mlp, embed, pos_embed or bias';
COMMENT ON COLUMN trace_edges.contribution IS 'contribution to the score, over trace.slices, with the offset if trace.offset is include';
COMMENT ON COLUMN trace_edges.effect IS 'the pair''s attention weight - its weight without the component''s output at that token; null unless dump.effects';
COMMENT ON COLUMN trace_edges.visits IS 'visits of the pair: how often Algorithm 1 appends the edge';
