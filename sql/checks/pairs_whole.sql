-- every pair has all slices of its head; both sides, unless it was only sampled
WITH slice_counts AS (
    SELECT pair_id, count(*) AS n_slices FROM slices GROUP BY pair_id
),
side_counts AS (
    SELECT pair_id, count(*) AS n_sides FROM sides GROUP BY pair_id
)
SELECT pair_id, p.sampled, s.n_slices, t.n_sides
FROM pairs AS p
FULL JOIN slice_counts AS s USING (pair_id)
FULL JOIN side_counts AS t USING (pair_id)
WHERE p.sampled IS NULL OR coalesce(s.n_slices, 0) <> (SELECT d_head FROM dump)
    OR coalesce(t.n_sides, 0) <> CASE WHEN p.sampled THEN 0 ELSE 2 END;
