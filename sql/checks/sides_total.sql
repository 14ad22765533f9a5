-- a side's totals are the sums over its heads, all in lower layers; those over all slices exist with dump.all_slices
WITH sums AS (
    SELECT
        pair_id, side, sum(list_count(contributions)) AS n,
        sum(list_sum(contributions)) AS total, sum(list_sum(contributions_all)) AS total_all
    FROM pair_upstream
    WHERE component = 'head'
    GROUP BY pair_id, side
),
settings AS (
    SELECT coalesce((config->>'$.dump.all_slices')::BOOLEAN, false) AS all_slices FROM dump
),
suspects AS (
    SELECT
        pair_id, side, s.total, u.total AS total_of_heads, s.total_all, u.total_all AS total_all_of_heads,
        s.n_heads, u.n,
        s.n_heads IS NULL
        OR coalesce(u.n, 0) <> s.n_heads
        OR (s.total_all IS NOT NULL) <> all_slices
        OR NOT isfinite(u.total) OR NOT isfinite(u.total_all) AS wrong
    FROM sides AS s
    FULL JOIN sums AS u USING (pair_id, side)
    CROSS JOIN settings
    WHERE wrong
        OR NOT abs(s.total - coalesce(u.total, 0)) <= 1e-9
        OR NOT abs(s.total_all - coalesce(u.total_all, 0)) <= 1e-9
),
largest AS (
    SELECT
        pair_id, side,
        max(greatest(list_max(contributions), -list_min(contributions))) AS of_signal,
        max(greatest(list_max(contributions_all), -list_min(contributions_all))) AS of_all
    FROM pair_upstream
    WHERE component = 'head' AND pair_id IN (SELECT pair_id FROM suspects)
    GROUP BY pair_id, side
)
SELECT c.* EXCLUDE (wrong)
FROM suspects AS c
LEFT JOIN largest AS m USING (pair_id, side)
WHERE c.wrong
    OR NOT abs(c.total - coalesce(c.total_of_heads, 0)) <= 1e-9 * (1 + coalesce(c.n * m.of_signal, 0))
    OR NOT abs(c.total_all - coalesce(c.total_all_of_heads, 0)) <= 1e-9 * (1 + coalesce(c.n * m.of_all, 0));
