-- pair_slices: the slices of a pair as lists; `slices` is the view with a row for each
-- grain: [pair]
CREATE TABLE pair_slices (
    pair_id     BIGINT NOT NULL,
    dest_coords FLOAT[] NOT NULL,
    src_coords  FLOAT[] NOT NULL,
    signal      USMALLINT[] NOT NULL
);
COMMENT ON TABLE pair_slices IS 'the slices of a pair as lists; slices is the view with a row for each; grain: [pair]';
COMMENT ON COLUMN pair_slices.pair_id IS 'attention pair, as in pairs';
COMMENT ON COLUMN pair_slices.dest_coords IS 'coordinates of the query at dest along the slices by k, as in coordinates';
COMMENT ON COLUMN pair_slices.src_coords IS 'coordinates of the key at src along the slices by k, as in coordinates; with dump.score=contrast minus its mean over the other sources';
COMMENT ON COLUMN pair_slices.signal IS 'the k of the signal set S in the order of the signal rule';
