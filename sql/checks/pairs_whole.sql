-- every pair has all slices of its head, and both sides unless it was only sampled
WITH slice_counts AS (
    SELECT
        pair_id, count(*) AS n_rows,
        min(least(list_count(dest_coords), list_count(src_coords))) AS fewest,
        max(greatest(len(dest_coords), len(src_coords))) AS most
    FROM pair_slices
    GROUP BY pair_id
),
side_counts AS (
    SELECT pair_id, count(*) AS n_sides FROM sides GROUP BY pair_id
)
SELECT pair_id, p.sampled, s.n_rows, s.fewest, s.most, t.n_sides
FROM pairs AS p
FULL JOIN slice_counts AS s USING (pair_id)
FULL JOIN side_counts AS t USING (pair_id)
WHERE p.sampled IS NULL OR s.n_rows IS DISTINCT FROM 1
    OR s.fewest <> (SELECT d_head FROM dump) OR s.most <> s.fewest
    OR coalesce(t.n_sides, 0) <> CASE WHEN p.sampled THEN 0 ELSE 2 END;
