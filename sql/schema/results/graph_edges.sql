-- graph_edges: all edges of the traces, counted over prompts; or those of an imported circuit
-- grain: [upstream, downstream, side, token role]
CREATE TABLE graph_edges (
    up_layer  UTINYINT,
    up_head   UTINYINT,
    component component NOT NULL,
    layer     UTINYINT NOT NULL,
    head      UTINYINT NOT NULL,
    side      side,
    role      VARCHAR,
    n_prompts BIGINT,
    n_firings BIGINT,
    n_visits  BIGINT,
    total     DOUBLE,
    mean      DOUBLE,
    effect    DOUBLE
);
COMMENT ON TABLE graph_edges IS 'all edges of the traces, counted over prompts; or those of an imported circuit, with null for unknown values; grain: [upstream, downstream, side, token role]';
COMMENT ON COLUMN graph_edges.up_layer IS 'layer of the writer; null for embed and pos_embed';
COMMENT ON COLUMN graph_edges.up_head IS 'head of the writer; null unless component is head';
COMMENT ON COLUMN graph_edges.component IS 'kind of the writer: head, mlp, embed, pos_embed or bias';
COMMENT ON COLUMN graph_edges.layer IS 'layer of the head, from 0';
COMMENT ON COLUMN graph_edges.head IS 'head within its layer, from 0';
COMMENT ON COLUMN graph_edges.side IS 'token of the pair that is written to: dest or src; null for an imported edge into a value';
COMMENT ON COLUMN graph_edges.role IS 'role of the token that is written to, or its place by trace.unlabelled';
COMMENT ON COLUMN graph_edges.n_prompts IS 'number of distinct prompts';
COMMENT ON COLUMN graph_edges.n_firings IS 'number of distinct pairs, over all roots';
COMMENT ON COLUMN graph_edges.n_visits IS 'visits, summed over roots and pairs, at most 9e18';
COMMENT ON COLUMN graph_edges.total IS 'contributions summed over the distinct pairs';
COMMENT ON COLUMN graph_edges.mean IS 'total / n_firings; the weight of an imported edge';
COMMENT ON COLUMN graph_edges.effect IS 'effect on the attention weight, as in trace_edges, mean over the distinct pairs; null unless dump.effects';
