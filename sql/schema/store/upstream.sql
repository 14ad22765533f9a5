-- upstream: what each earlier component writes for a pair through one of its tokens
-- grain: [pair, side, component]
CREATE TABLE upstream (
    pair_id          BIGINT NOT NULL,
    side             side NOT NULL,
    component        component NOT NULL,
    up_layer         UTINYINT,
    up_head          UTINYINT,
    contribution     FLOAT NOT NULL,
    contribution_all FLOAT NOT NULL,
    rank             USMALLINT,
    cum_before       DOUBLE
);
COMMENT ON TABLE upstream IS 'what each earlier component writes for a pair through one of its tokens; grain: [pair, side, component]';
COMMENT ON COLUMN upstream.pair_id IS 'attention pair, as in pairs';
COMMENT ON COLUMN upstream.side IS 'token of the pair that is written into: dest or src';
COMMENT ON COLUMN upstream.component IS 'what writes: head, mlp, embed, pos_embed or bias (of an attention layer''s output)';
COMMENT ON COLUMN upstream.up_layer IS 'layer that writes, below the pair''s; null for embed and pos_embed';
COMMENT ON COLUMN upstream.up_head IS 'head that writes; null unless component is head';
COMMENT ON COLUMN upstream.contribution IS 'contribution to the score through the signal set S (equation 8)';
COMMENT ON COLUMN upstream.contribution_all IS 'the same through every slice';
COMMENT ON COLUMN upstream.rank IS 'position from 1 among the heads of (pair, side) by falling contribution; null unless component is head';
COMMENT ON COLUMN upstream.cum_before IS 'sum of the contributions ranked above; null unless component is head';
