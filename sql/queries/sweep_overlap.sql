-- purpose: Jaccard index of the circuits of two jobs of a sweep after matching their heads by role, against chance
-- params: draws INTEGER{0..100000} number of random matchings [= 200]
--         seed INTEGER seed of the draws [= 0]
-- grain: [pair of jobs]
-- columns: job_a, job_b, n_heads_a, n_heads_b, n_matched, n_edges_a, n_edges_b, n_shared, only_a, only_b, jaccard,
--          random_mean, random_low, random_high, share_as_good
-- Heads are matched as in sweep_heads. An edge is shared if both circuits have it between matched heads, on the same
-- side, at a token with the same role; `jaccard` is the number of shared edges over that of all edges. Only edges from
-- heads count. A random matching pairs the heads in the order of a hash of (seed, draw, job, head), regardless of
-- roles; `random_low` and `random_high` are the 2.5% and 97.5% quantiles of the draws, `share_as_good` the share of
-- draws that reach jaccard.
WITH settings AS (
    FROM sweep_settings('run')
),
shown AS (
    FROM sweep_shown('settings', 'graph_edges') WHERE component = 'head'
),
circuit AS (
    FROM sweep_circuit('shown', 'trace_pairs')
),
profiles AS (
    FROM sweep_profiles('settings', 'shown', 'graph_firings')
),
matched AS MATERIALIZED (
    FROM sweep_matched('circuit', 'profiles')
),
dealt AS (
    SELECT
        d.draw, c.job, c.head,
        row_number() OVER (
            PARTITION BY d.draw, c.job
            ORDER BY md5(concat_ws(',', $seed, d.draw, c.job, c.head.layer, c.head.head)), c.head
        ) AS seat
    FROM range($draws) AS d(draw), circuit AS c
),
matchings AS MATERIALIZED (
    SELECT -1 AS draw, job_a, job_b, head_a, head_b FROM matched
    UNION ALL
    SELECT a.draw, a.job, b.job, a.head, b.head
    FROM dealt AS a
    JOIN dealt AS b ON b.draw = a.draw AND b.job > a.job AND b.seat = a.seat
),
shared AS (
    SELECT u.draw, u.job_a, u.job_b, count(*) AS n_common
    FROM shown AS a
    JOIN matchings AS u ON u.job_a = a.job AND u.head_a = a.up
    JOIN matchings AS d
        ON d.draw = u.draw AND d.job_a = u.job_a AND d.job_b = u.job_b AND d.head_a = a.down
    JOIN shown AS b
        ON b.job = u.job_b AND b.up = u.head_b AND b.down = d.head_b
        AND b.side = a.side AND b.role = a.role
    GROUP BY u.draw, u.job_a, u.job_b
),
counts AS (
    SELECT
        s.job,
        (SELECT count(*) FROM circuit AS c WHERE c.job = s.job) AS n_heads,
        (SELECT count(*) FROM shown AS e WHERE e.job = s.job) AS n_edges
    FROM settings AS s
),
compared AS (
    SELECT
        d.draw, a.job AS job_a, b.job AS job_b, a.n_heads AS n_heads_a, b.n_heads AS n_heads_b,
        a.n_edges AS n_edges_a, b.n_edges AS n_edges_b,
        coalesce(s.n_common, 0) AS n_shared,
        n_shared / nullif(a.n_edges + b.n_edges - n_shared, 0) AS jaccard
    FROM counts AS a
    JOIN counts AS b ON b.job > a.job
    CROSS JOIN range(-1, $draws) AS d(draw)
    LEFT JOIN shared AS s ON s.draw = d.draw AND s.job_a = a.job AND s.job_b = b.job
),
by_role AS (
    SELECT
        c.*,
        (
            SELECT count(*) FROM matched AS m WHERE m.job_a = c.job_a AND m.job_b = c.job_b
        ) AS n_matched
    FROM compared AS c
    WHERE c.draw = -1
)
SELECT
    t.job_a, t.job_b, t.n_heads_a, t.n_heads_b, t.n_matched, t.n_edges_a, t.n_edges_b, t.n_shared,
    t.n_edges_a - t.n_shared AS only_a, t.n_edges_b - t.n_shared AS only_b, t.jaccard,
    avg(r.jaccard ORDER BY r.draw) AS random_mean,
    quantile_cont(r.jaccard, 0.025) AS random_low,
    quantile_cont(r.jaccard, 0.975) AS random_high,
    avg((r.jaccard >= t.jaccard)::INTEGER) AS share_as_good
FROM by_role AS t
LEFT JOIN compared AS r ON r.job_a = t.job_a AND r.job_b = t.job_b AND r.draw >= 0
GROUP BY ALL
ORDER BY t.job_a, t.job_b;
