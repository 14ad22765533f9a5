-- purpose: the jobs of a sweep: size of the shown graph, and precision and recall against its reference
-- params: none
-- grain: [job]
-- columns: job, status, min_count, n_edges, n_heads, tp, precision, recall, recall_reachable, f1, ...
-- `...` stands for the swept keys, one column each, dots as underscores. A job that failed has only these.
WITH settings AS (
    FROM sweep_settings('run')
),
shown AS (
    FROM sweep_shown('settings', 'graph_edges')
),
circuit AS (
    FROM sweep_circuit('shown', 'trace_pairs')
),
edge_counts AS (
    SELECT job, count(*) AS n_edges FROM shown GROUP BY job
),
head_counts AS (
    SELECT job, count(*) AS n_heads FROM circuit GROUP BY job
),
at_threshold AS (
    SELECT e.job, e.tp, e.precision, e.recall, e.recall_reachable, e.f1
    FROM evaluation AS e
    JOIN settings AS s ON s.job = e.job AND s.kind = e.count::VARCHAR
    QUALIFY row_number() OVER (
        PARTITION BY e.job
        ORDER BY
            e.min_count < s.shown_from,
            CASE WHEN e.min_count < s.shown_from THEN -e.min_count ELSE e.min_count END
    ) = 1
)
SELECT
    job, r.status, s.shown_from AS min_count,
    CASE WHEN s.job IS NOT NULL THEN coalesce(c.n_edges, 0) END AS n_edges,
    h.n_heads, e.tp, e.precision, e.recall, e.recall_reachable, e.f1,
    r.* EXCLUDE (
        job, status, svt_version, config, store_path, store_identity, n_prompts, roots, warnings,
        seconds
    )
FROM run AS r
LEFT JOIN settings AS s USING (job)
LEFT JOIN edge_counts AS c USING (job)
LEFT JOIN head_counts AS h USING (job)
LEFT JOIN at_threshold AS e USING (job)
ORDER BY job;
