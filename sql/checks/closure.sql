-- where every component was dumped, together they make the projected residual
WITH sizes AS (
    SELECT pair_id, side, sum(abs(contribution::DOUBLE)) AS size FROM upstream GROUP BY pair_id, side
)
SELECT s.pair_id, s.side, s.closure, z.size
FROM sides AS s
LEFT JOIN sizes AS z ON z.pair_id = s.pair_id AND z.side = s.side
WHERE s.closure IS NOT NULL
    AND NOT abs(s.closure) <= numerical_tolerance() * (1 + coalesce(z.size, 0));
