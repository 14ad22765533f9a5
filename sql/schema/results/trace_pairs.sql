-- trace_pairs: the firing pairs that the trace reaches from each root
-- grain: [root, reached pair]
CREATE TABLE trace_pairs (
    root_layer UTINYINT NOT NULL,
    root_head  UTINYINT NOT NULL,
    prompt_id  INTEGER NOT NULL,
    pair_id    BIGINT NOT NULL,
    depth      UTINYINT NOT NULL,
    visits     BIGINT NOT NULL
);
COMMENT ON TABLE trace_pairs IS 'the firing pairs that the trace reaches from each root; grain: [root, reached pair]';
COMMENT ON COLUMN trace_pairs.root_layer IS 'layer of the root';
COMMENT ON COLUMN trace_pairs.root_head IS 'head of the root';
COMMENT ON COLUMN trace_pairs.prompt_id IS 'prompt, as in prompts';
COMMENT ON COLUMN trace_pairs.pair_id IS 'attention pair, as in pairs';
COMMENT ON COLUMN trace_pairs.depth IS 'smallest number of edges to a pair of the root, whose own depth is 0';
COMMENT ON COLUMN trace_pairs.visits IS 'number of paths by which Algorithm 1 reaches the pair; exact to 2^53, at most 9e18';
