-- purpose: 95% bootstrap intervals of precision and recall of the circuit, over prompts
-- params: reference VARCHAR only this reference [= null]
--         count VARCHAR the count that thresholds apply to [= trace.count]
--         min_share DOUBLE smallest count of a shown edge as a share of the prompts [= trace.min_share]
--         min_count BIGINT smallest count over all prompts; its share overrides min_share [= trace.min_count]
--         draws INTEGER{0..100000} number of bootstrap draws [= 400]
--         seed INTEGER seed of the draws [= 0]
-- grain: [reference, metric]
-- columns: reference, metric, value, mean, low, high
-- A draw weights each prompt by bootstrap_weight, recounts the edges of the trace and shows those in the chosen share
-- of the weighted prompts. `value` is that of the actual prompts; `mean` is the mean of the draws, `low` and `high`
-- their 2.5% and 97.5% quantiles. The roots are those of the run.
WITH prompts_drawn AS (
    SELECT -1 AS draw, prompt_id, 1::DOUBLE AS weight FROM prompts
    UNION ALL
    SELECT draw, prompt_id, bootstrap_weight($seed, draw, prompt_id)::DOUBLE
    FROM range($draws) AS d(draw), prompts
),
draws AS (
    SELECT
        draw,
        list(weight ORDER BY prompt_id) AS weights,
        greatest(ceil(shown_share($min_share, $min_count) * sum(weight) - 1e-9), 1) AS shown_from
    FROM prompts_drawn
    GROUP BY draw
),
by_prompt AS (
    SELECT
        up_layer, up_head, component, layer, head, side, role, prompt_id,
        count_of($count, 1, n_firings, n_visits)::DOUBLE AS n
    FROM edge_prompts('trace_edges')
),
edge_list AS (
    SELECT DISTINCT up_layer, up_head, component, layer, head, side, role FROM by_prompt
),
edges AS MATERIALIZED (
    SELECT
        e.layer, e.head, e.up_layer, e.up_head, e.component,
        list(coalesce(b.n, 0) ORDER BY p.prompt_id) AS counts
    FROM edge_list AS e
    CROSS JOIN prompts AS p
    LEFT JOIN by_prompt AS b
        ON b.prompt_id = p.prompt_id AND b.component = e.component
        AND b.up_layer IS NOT DISTINCT FROM e.up_layer
        AND b.up_head IS NOT DISTINCT FROM e.up_head
        AND b.layer = e.layer AND b.head = e.head AND b.side = e.side AND b.role = e.role
    GROUP BY e.up_layer, e.up_head, e.component, e.layer, e.head, e.side, e.role
),
shown AS MATERIALIZED (
    SELECT d.draw, e.layer, e.head, e.up_layer, e.up_head, e.component
    FROM edges AS e, draws AS d
    WHERE list_dot_product(e.counts, d.weights) >= d.shown_from
),
circuit AS (
    SELECT draw AS head_set, layer, head FROM shown
    UNION
    SELECT draw, up_layer, up_head FROM shown WHERE component = 'head'
    UNION
    SELECT d.draw, t.root_layer, t.root_head FROM draws AS d, trace_pairs AS t
),
known AS (
    FROM reference_heads WHERE reference = coalesce($reference::VARCHAR, reference)
),
measured AS (
    SELECT
        reference, head_set AS draw,
        unnest(['n_heads', 'precision', 'recall', 'recall_reachable', 'f1']) AS metric,
        unnest([n_heads, precision, recall, recall_reachable, f1]) AS value
    FROM against_references('circuit', 'known')
)
SELECT
    reference, metric,
    any_value(value) FILTER (WHERE draw = -1) AS value,
    avg(value ORDER BY draw) FILTER (WHERE draw >= 0) AS mean,
    quantile_cont(value, 0.025) FILTER (WHERE draw >= 0) AS low,
    quantile_cont(value, 0.975) FILTER (WHERE draw >= 0) AS high
FROM measured
GROUP BY reference, metric
ORDER BY
    reference, list_position(['n_heads', 'precision', 'recall', 'recall_reachable', 'f1'], metric);
