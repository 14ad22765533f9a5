-- if every component was dumped, their contributions sum to the projected residual
WITH suspects AS (
    FROM sides WHERE closure IS NOT NULL AND NOT abs(closure) <= numerical_tolerance()
),
sizes AS (
    SELECT u.pair_id, u.side, sum(abs(u.contribution::DOUBLE)) AS size
    FROM upstream AS u
    SEMI JOIN suspects USING (pair_id)
    GROUP BY u.pair_id, u.side
)
SELECT c.pair_id, c.side, c.closure, z.size
FROM suspects AS c
LEFT JOIN sizes AS z USING (pair_id, side)
WHERE NOT abs(c.closure) <= numerical_tolerance() * (1 + coalesce(z.size, 0));
