-- the signal set of every pair is n_slices different slices of its head; and they are the first in the order of the
-- signal rule: in all pairs or, of very many, in ten to twenty thousand
WITH chosen AS (
    SELECT pair_id FROM pairs
    WHERE hash(pair_id) % greatest(1, (SELECT count(*) // 10000 FROM pairs)) = 0
),
misplaced AS (
    SELECT s.pair_id, count(*) AS n_misplaced
    FROM (SELECT pair_id, k, rank, in_signal FROM slices SEMI JOIN chosen USING (pair_id)) AS s
    JOIN pair_slices AS l USING (pair_id)
    WHERE s.in_signal <> (s.rank <= len(l.signal))
        OR (s.in_signal AND list_position(l.signal, s.k) <> s.rank)
    GROUP BY s.pair_id
)
SELECT l.pair_id, l.signal, p.n_slices, m.n_misplaced
FROM pair_slices AS l
JOIN pairs AS p USING (pair_id)
LEFT JOIN misplaced AS m USING (pair_id)
WHERE len(l.signal) <> p.n_slices OR list_unique(l.signal) <> p.n_slices
    OR coalesce(list_max(l.signal), 0) >= len(l.dest_coords) OR m.n_misplaced IS NOT NULL;
