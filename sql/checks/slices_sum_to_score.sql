-- a pair's slices sum to its score, as stored and as the model computed it; with dump.score=contrast to its lead
WITH sums AS (
    SELECT pair_id, sum(contribution::DOUBLE) AS total, sum(abs(contribution::DOUBLE)) AS size
    FROM slices
    GROUP BY pair_id
)
SELECT p.pair_id, p.omega_score, s.total, p.residual, s.size
FROM pairs AS p
JOIN sums AS s USING (pair_id)
WHERE NOT isfinite(s.total)
    OR NOT abs(s.total - p.omega_score) <= 1e-6 * (1 + s.size)
    OR NOT p.residual <= numerical_tolerance() * (1 + s.size);
