-- a pair's slices sum to its score, as stored and as the model computed it; with dump.score=contrast to its lead
WITH sums AS (
    SELECT pair_id, list_dot_product(dest_coords::DOUBLE[], src_coords::DOUBLE[]) AS total FROM pair_slices
),
suspects AS (
    SELECT p.pair_id, p.omega_score, s.total, p.residual
    FROM pairs AS p
    JOIN sums AS s USING (pair_id)
    WHERE NOT isfinite(s.total)
        OR NOT abs(s.total - p.omega_score) <= 1e-6 * (1 + abs(s.total))
        OR NOT p.residual <= numerical_tolerance() * (1 + abs(s.total))
),
sizes AS (
    SELECT pair_id, sum(abs(contribution::DOUBLE)) AS size
    FROM slices
    WHERE pair_id IN (SELECT pair_id FROM suspects)
    GROUP BY pair_id
)
SELECT c.pair_id, c.omega_score, c.total, c.residual, z.size
FROM suspects AS c
JOIN sizes AS z USING (pair_id)
WHERE NOT isfinite(c.total)
    OR NOT abs(c.total - c.omega_score) <= 1e-6 * (1 + z.size)
    OR NOT c.residual <= numerical_tolerance() * (1 + z.size);
