-- graph_firings: the firings that the traces reach, counted over prompts by the roles of their dest and src
-- grain: [head, dest role, src role]
CREATE TABLE graph_firings (
    layer     UTINYINT NOT NULL,
    head      UTINYINT NOT NULL,
    dest_role VARCHAR,
    src_role  VARCHAR,
    n_prompts BIGINT NOT NULL,
    n_firings BIGINT NOT NULL,
    n_visits  BIGINT NOT NULL
);
COMMENT ON TABLE graph_firings IS 'the firings that the traces reach, counted over prompts by the roles of their dest and src; grain: [head, dest role, src role]';
COMMENT ON COLUMN graph_firings.layer IS 'layer of the head, from 0';
COMMENT ON COLUMN graph_firings.head IS 'head within its layer, from 0';
COMMENT ON COLUMN graph_firings.dest_role IS 'role of the dest, or its place by trace.unlabelled; null for a token without one';
COMMENT ON COLUMN graph_firings.src_role IS 'role of the src, or its place by trace.unlabelled; null for a token without one';
COMMENT ON COLUMN graph_firings.n_prompts IS 'number of distinct prompts';
COMMENT ON COLUMN graph_firings.n_firings IS 'number of distinct pairs, over all roots';
COMMENT ON COLUMN graph_firings.n_visits IS 'visits, summed over roots and pairs, at most 9e18';
