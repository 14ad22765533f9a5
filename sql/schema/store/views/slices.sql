-- slices: contribution of each orthogonal slice to a pair's score; a view of pair_slices
-- grain: [pair, slice]
-- The order of the signal rule: descending contribution, or ascending where the signal sums to a negative score;
-- contributions that are negligible relative to the others count as 0; ties by k.
CREATE VIEW slices AS
WITH entries AS (
    SELECT
        pair_id, signal,
        sign(dest_coords[signal[1] + 1] * src_coords[signal[1] + 1]) AS score_sign,
        unnest(range(len(dest_coords)))::USMALLINT AS k,
        unnest(dest_coords) AS dest_coord,
        unnest(src_coords) AS src_coord
    FROM pair_slices
),
sized AS (
    SELECT
        *, dest_coord * src_coord AS contribution,
        sum(abs((dest_coord * src_coord)::DOUBLE)) OVER (PARTITION BY pair_id) AS size
    FROM entries
)
SELECT
    pair_id, k, contribution, dest_coord, src_coord,
    row_number() OVER (
        PARTITION BY pair_id
        ORDER BY
            CASE
                WHEN abs(contribution) <= 1e-12 * size THEN 0
                WHEN score_sign < 0 THEN -contribution
                ELSE contribution
            END DESC,
            k
    )::USMALLINT AS rank,
    list_contains(signal, k) AS in_signal
FROM sized;
COMMENT ON VIEW slices IS 'contribution of each orthogonal slice to a pair''s score, a view of pair_slices; grain: [pair, slice]';
COMMENT ON COLUMN slices.pair_id IS 'attention pair, as in pairs';
COMMENT ON COLUMN slices.k IS 'slice of the head''s Omega, from 0 by descending singular value';
COMMENT ON COLUMN slices.contribution IS 'contribution to omega_score: dest_coord * src_coord';
COMMENT ON COLUMN slices.dest_coord IS 'coordinate of the query at dest along the slice, as in coordinates';
COMMENT ON COLUMN slices.src_coord IS 'coordinate of the key at src along the slice, as in coordinates; with dump.score=contrast minus its mean over the other sources';
COMMENT ON COLUMN slices.rank IS 'position from 1 in the order of the signal rule: descending contribution, ascending for a negative score';
COMMENT ON COLUMN slices.in_signal IS 'whether the slice is in the signal set S, a prefix of that order';
