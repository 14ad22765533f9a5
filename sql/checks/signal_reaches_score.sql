-- the signal set carries the whole score, or lead: the remaining slices sum to 0 or to the opposite sign
WITH noise AS (
    SELECT
        pair_id, sum(abs(contribution::DOUBLE)) AS size,
        coalesce(sum(contribution::DOUBLE) FILTER (WHERE NOT in_signal), 0) AS left_over
    FROM slices
    GROUP BY pair_id
)
SELECT p.pair_id, p.omega_score, n.left_over, n.size
FROM pairs AS p
JOIN noise AS n USING (pair_id)
WHERE NOT sign(p.omega_score) * n.left_over <= 1e-6 * (1 + n.size);
