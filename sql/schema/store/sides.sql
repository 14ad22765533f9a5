-- sides: sums over a pair's upstream heads, for each side
-- grain: [pair, side]
CREATE TABLE sides (
    pair_id   BIGINT NOT NULL,
    side      side NOT NULL,
    total     DOUBLE NOT NULL,
    total_all DOUBLE,
    n_heads   USMALLINT NOT NULL,
    closure   DOUBLE
);
COMMENT ON TABLE sides IS 'sums over a pair''s upstream heads, for each side; grain: [pair, side]';
COMMENT ON COLUMN sides.pair_id IS 'attention pair, as in pairs';
COMMENT ON COLUMN sides.side IS 'token of the pair that is written to: dest or src';
COMMENT ON COLUMN sides.total IS 'sum of contribution over the upstream heads';
COMMENT ON COLUMN sides.total_all IS 'sum of contribution_all over the upstream heads; null unless dump.all_slices';
COMMENT ON COLUMN sides.n_heads IS 'number of upstream heads';
COMMENT ON COLUMN sides.closure IS 'numerical error: sum over all components - the projected residual; null unless every component was dumped';
