-- the heads of a (pair, side) stand in falling order, and cum_before sums up those above: row by row, in
-- all pairs or, of very many, in ten to twenty thousand; sides_total looks at what all must add up to
WITH chosen AS (
    SELECT pair_id FROM pairs
    WHERE hash(pair_id) % greatest(1, (SELECT count(*) // 10000 FROM pairs)) = 0
),
looked_at AS (
    SELECT u.* FROM upstream AS u
    SEMI JOIN chosen USING (pair_id)
    WHERE u.component = 'head'
)
SELECT
    b.pair_id, b.side, b.rank, a.contribution AS contribution_above, b.contribution,
    a.cum_before AS cum_above, b.cum_before
FROM looked_at AS b
LEFT JOIN looked_at AS a ON a.pair_id = b.pair_id AND a.side = b.side AND a.rank + 1 = b.rank
WHERE CASE
    WHEN b.rank = 1 THEN b.cum_before <> 0
    ELSE a.rank IS NULL OR b.contribution > a.contribution
        OR NOT abs(a.cum_before + a.contribution - b.cum_before) <= 1e-9 * (1 + abs(b.cum_before))
END;
