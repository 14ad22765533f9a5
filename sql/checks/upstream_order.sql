-- the heads of a (pair, side) stand in falling order, and cum_before sums up those above
SELECT
    b.pair_id, b.side, b.rank, a.contribution AS contribution_above, b.contribution,
    a.cum_before AS cum_above, b.cum_before
FROM upstream AS b
LEFT JOIN upstream AS a ON a.pair_id = b.pair_id AND a.side = b.side AND a.rank + 1 = b.rank
WHERE b.component = 'head'
    AND CASE
        WHEN b.rank = 1 THEN b.cum_before <> 0
        ELSE a.rank IS NULL OR b.contribution > a.contribution
            OR NOT abs(a.cum_before + a.contribution - b.cum_before) <= 1e-9 * (1 + abs(b.cum_before))
    END;
