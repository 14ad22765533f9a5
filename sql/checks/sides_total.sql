-- a side's totals are the sums over its heads, all of them below; those over every slice are there with dump.all_slices
WITH sums AS (
    SELECT
        pair_id, side, sum(list_count(contributions)) AS n,
        sum(list_sum(contributions)) AS total, sum(list_sum(contributions_all)) AS total_all
    FROM pair_upstream
    WHERE component = 'head'
    GROUP BY pair_id, side
),
suspects AS MATERIALIZED (
    SELECT
        pair_id, side, s.total, coalesce(u.total, 0) AS total_of_heads, s.total_all,
        coalesce(u.total_all, 0) AS total_all_of_heads, s.n_heads, coalesce(u.n, 0) AS n
    FROM sides AS s
    FULL JOIN sums AS u USING (pair_id, side)
    WHERE s.n_heads IS NULL
        OR coalesce(u.n, 0) <> s.n_heads
        OR (s.total_all IS NOT NULL) <> (
            SELECT coalesce((config->>'$.dump.all_slices')::BOOLEAN, false) FROM dump
        )
        OR NOT abs(s.total - coalesce(u.total, 0)) <= 1e-6
        OR NOT abs(s.total_all - coalesce(u.total_all, 0)) <= 1e-6
),
sizes AS (
    SELECT
        u.pair_id, u.side, sum(abs(u.contribution::DOUBLE)) AS size,
        sum(abs(u.contribution_all::DOUBLE)) AS size_all
    FROM upstream AS u
    JOIN suspects AS s ON s.pair_id = u.pair_id AND s.side = u.side
    WHERE u.component = 'head'
    GROUP BY u.pair_id, u.side
)
SELECT s.*
FROM suspects AS s
LEFT JOIN sizes AS z USING (pair_id, side)
WHERE s.n_heads IS DISTINCT FROM s.n
    OR (s.total_all IS NOT NULL) <> (
        SELECT coalesce((config->>'$.dump.all_slices')::BOOLEAN, false) FROM dump
    )
    OR NOT isfinite(s.total_of_heads) OR NOT isfinite(s.total_all_of_heads)
    OR NOT abs(s.total - s.total_of_heads) <= 1e-6 * (1 + coalesce(z.size, 0))
    OR NOT abs(s.total_all - s.total_all_of_heads) <= 1e-6 * (1 + coalesce(z.size_all, 0));
