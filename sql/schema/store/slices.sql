-- slices: what each orthogonal slice adds to a pair's score
-- grain: [pair, slice]
CREATE TABLE slices (
    pair_id      BIGINT NOT NULL,
    k            USMALLINT NOT NULL,
    contribution FLOAT NOT NULL,
    dest_coord   FLOAT NOT NULL,
    src_coord    FLOAT NOT NULL,
    rank         USMALLINT NOT NULL,
    in_signal    BOOLEAN NOT NULL
);
COMMENT ON TABLE slices IS 'what each orthogonal slice adds to a pair''s score; grain: [pair, slice]';
COMMENT ON COLUMN slices.pair_id IS 'attention pair, as in pairs';
COMMENT ON COLUMN slices.k IS 'slice of the head''s Omega, from 0 by falling singular value';
COMMENT ON COLUMN slices.contribution IS 'what the slice adds to omega_score';
COMMENT ON COLUMN slices.dest_coord IS 'sqrt(sigma_k) u_k . x~ at dest (up to the sign shared with src_coord)';
COMMENT ON COLUMN slices.src_coord IS 'sqrt(sigma_k) v_k . x~ at src (up to the sign shared with dest_coord)';
COMMENT ON COLUMN slices.rank IS 'position from 1 in the order of the signal rule: falling contribution, rising for a negative score';
COMMENT ON COLUMN slices.in_signal IS 'whether the slice is in the signal set S, a prefix of that order';
