-- purpose: precision and recall of as many random heads as the circuit has, at every threshold of precision_recall
-- params: count VARCHAR the count that thresholds apply to [= trace.count]
--         reference VARCHAR only this reference [= null]
-- grain: [reference, min_count, metric], with the min_count of the curve of precision_recall
-- columns: reference, min_count, metric, n_heads, mean, low, high
-- The number of reference heads among n_heads heads drawn from the whole model is hypergeometric: `low` and `high` are
-- its exact 2.5% and 97.5% quantiles, as values of the metric. Without a store the number of heads is unknown, and
-- there is no row.
WITH sizes AS (
    SELECT
        reference,
        count(*) AS n_reference,
        count(*) FILTER (WHERE reachable) AS n_reachable,
        n_layers::BIGINT * n_heads AS n_model
    FROM reference_heads, dump
    WHERE reference = coalesce($reference::VARCHAR, reference)
    GROUP BY reference, n_model
),
thresholds AS (
    SELECT
        e.reference, e.min_count, e.n_heads, s.n_model,
        unnest(['precision', 'recall', 'recall_reachable']) AS metric,
        unnest([s.n_reference, s.n_reference, s.n_reachable]) AS n_known,
        nullif(unnest([e.n_heads, s.n_reference, s.n_reachable]), 0) AS possible
    FROM evaluation AS e
    JOIN sizes AS s USING (reference)
    WHERE e.count::VARCHAR = $count
),
chances AS (
    SELECT
        t.reference, t.metric, t.min_count, h.hits,
        exp(
            lgamma(n_known + 1) - lgamma(hits + 1) - lgamma(n_known - hits + 1)
            + lgamma(n_model - n_known + 1) - lgamma(n_heads - hits + 1)
            - lgamma(n_model - n_known - n_heads + hits + 1)
            - lgamma(n_model + 1) + lgamma(n_heads + 1) + lgamma(n_model - n_heads + 1)
        ) AS chance
    FROM thresholds AS t, range(n_known + 1) AS h(hits)
    WHERE hits <= n_heads AND n_heads - hits <= n_model - n_known
),
up_to AS (
    SELECT
        reference, metric, min_count, hits,
        sum(chance) OVER (PARTITION BY reference, metric, min_count ORDER BY hits) AS share
    FROM chances
),
quantiles AS (
    SELECT
        reference, metric, min_count,
        min(hits) FILTER (WHERE share >= 0.025 - 1e-9) AS low,
        min(hits) FILTER (WHERE share >= 0.975 - 1e-9) AS high
    FROM up_to
    GROUP BY ALL
)
SELECT
    t.reference, t.min_count, t.metric, t.n_heads,
    t.n_heads * t.n_known / t.n_model / t.possible AS mean,
    q.low / t.possible AS low,
    q.high / t.possible AS high
FROM thresholds AS t
JOIN quantiles AS q USING (reference, metric, min_count)
ORDER BY
    t.reference, t.min_count,
    list_position(['precision', 'recall', 'recall_reachable'], t.metric);
