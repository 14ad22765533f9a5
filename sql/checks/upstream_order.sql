-- the heads of a (pair, side) stand in falling order, and cum_before sums up those above: row by row in
-- all pairs or, of very many, in ten to twenty thousand; elsewhere by what cum_before must then add up to
WITH chosen AS (
    SELECT pair_id FROM pairs
    WHERE hash(pair_id) % greatest(1, (SELECT count(*) // 10000 FROM pairs)) = 0
),
looked_at AS (
    SELECT u.* FROM upstream AS u
    SEMI JOIN chosen USING (pair_id)
    WHERE u.component = 'head'
),
wrong_rows AS (
    SELECT
        b.pair_id, b.side, b.rank, a.contribution AS contribution_above, b.contribution,
        a.cum_before AS cum_above, b.cum_before
    FROM looked_at AS b
    LEFT JOIN looked_at AS a ON a.pair_id = b.pair_id AND a.side = b.side AND a.rank + 1 = b.rank
    WHERE CASE
        WHEN b.rank = 1 THEN b.cum_before <> 0
        ELSE a.rank IS NULL OR b.contribution > a.contribution
            OR NOT abs(a.cum_before + a.contribution - b.cum_before)
                <= 1e-9 * (1 + abs(b.cum_before))
    END
),
sums AS (  -- a contribution stands in the cum_before of those ranked below it, n - rank of them
    SELECT
        pair_id, side, count(*) AS n,
        sum(cum_before) AS cum, sum(cum_before * rank) AS cum_rank,
        sum(contribution::DOUBLE) AS total, sum(contribution::DOUBLE * rank) AS by_rank,
        sum(contribution::DOUBLE * rank * rank) AS by_square,
        sum(abs(contribution::DOUBLE)) AS size
    FROM upstream
    WHERE component = 'head'
    GROUP BY pair_id, side
)
FROM wrong_rows
UNION ALL
SELECT pair_id, side, null, null, null, null, cum
FROM sums
WHERE NOT abs(n * total - by_rank - cum) <= 1e-9 * n * (1 + size)
    OR NOT abs((n * (n + 1) * total - by_square - by_rank) / 2 - cum_rank)
        <= 1e-9 * n * n * (1 + size);
