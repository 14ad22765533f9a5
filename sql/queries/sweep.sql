-- purpose: the jobs of a sweep: the graph that each shows and how it stands against its reference
-- params: none
-- grain: [job]
-- columns: job, status, min_count, n_edges, n_heads, tp, precision, recall, recall_reachable, f1, ...
-- `...` stands for the swept keys, one column each, dots as underscores. A job that failed has only those.
WITH settings AS (
    SELECT
        job,
        config->>'$.trace.count' AS kind,
        coalesce(
            (config->>'$.trace.min_count')::BIGINT,
            greatest(ceil((config->>'$.trace.min_share')::DOUBLE * n_prompts - 1e-9), 1)::BIGINT
        ) AS shown_from
    FROM run
    WHERE config IS NOT NULL
),
shown AS (
    SELECT g.job, g.layer, g.head, g.up_layer, g.up_head, g.component::VARCHAR AS component
    FROM graph_edges AS g
    JOIN settings AS s USING (job)
    WHERE s.shown_from <= CASE s.kind
        WHEN 'prompts' THEN g.n_prompts WHEN 'firings' THEN g.n_firings ELSE g.n_visits
    END
),
circuit AS (
    SELECT job, layer, head FROM shown
    UNION
    SELECT job, up_layer, up_head FROM shown WHERE component = 'head'
    UNION
    SELECT job, root_layer, root_head FROM trace_pairs
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
