-- the signal set of every pair is n_slices different slices of its head, the first in the order of the signal rule; the
-- order is checked in all pairs or, of very many, in ten to twenty thousand
WITH chosen AS (
    FROM pair_slices WHERE hash(pair_id) % greatest(1, (SELECT count(*) // 10000 FROM pairs)) = 0
),
entries AS (
    SELECT
        pair_id, signal,
        sign(dest_coords[signal[1] + 1] * src_coords[signal[1] + 1]) AS score_sign,
        1e-12 * list_sum(list_transform(
            range(1, len(dest_coords) + 1), lambda k: abs((dest_coords[k] * src_coords[k])::DOUBLE)
        )) AS negligible,
        unnest(range(len(dest_coords))) AS k,
        unnest(dest_coords) AS dest_coord,
        unnest(src_coords) AS src_coord
    FROM chosen
),
orders AS (
    SELECT
        pair_id, signal,
        list(k ORDER BY
            CASE
                WHEN abs(dest_coord * src_coord) <= negligible THEN 0
                WHEN score_sign < 0 THEN -dest_coord * src_coord
                ELSE dest_coord * src_coord
            END DESC,
            k
        ) AS in_order
    FROM entries
    GROUP BY pair_id, signal
)
SELECT l.pair_id, l.signal, p.n_slices, NULL AS in_order
FROM pair_slices AS l
JOIN pairs AS p USING (pair_id)
WHERE len(l.signal) <> p.n_slices OR list_unique(l.signal) <> p.n_slices
    OR coalesce(list_max(l.signal), 0) >= (SELECT d_head FROM dump)
UNION ALL
SELECT pair_id, signal, NULL, in_order FROM orders WHERE signal <> in_order[:len(signal)];
