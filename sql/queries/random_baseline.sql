-- purpose: precision and recall of the traced circuit and of random head sets of the same size
-- params: reference VARCHAR only this reference [= null]
--         count VARCHAR the count that thresholds apply to [= trace.count]
--         min_share DOUBLE smallest count of a shown edge as a share of the prompts [= trace.min_share]
--         min_count BIGINT smallest count of a shown edge; overrides min_share [= trace.min_count]
--         draws INTEGER{0..100000} number of random head sets [= 1000]
--         seed INTEGER seed of the draws [= 0]
--         among VARCHAR{all,reachable} heads to draw from; reachable: the roots and heads in layers below them [= all]
--         keep_roots BOOLEAN whether every draw includes the roots [= false]
-- grain: [reference, metric]
-- columns: reference, metric, n_heads, traced, mean, low, high, quantile_95, share_as_good
-- `low` and `high` are the 2.5% and 97.5% quantiles of the draws; `share_as_good` is the share of draws that reach at
-- least the traced value. A draw is the first n_heads of the heads in the order of a hash of (seed, draw, head), so a
-- seed gives the same sets on every machine.
WITH root_heads AS (
    FROM root_heads('run')
),
shown AS (
    FROM frequent_edges('graph_edges', 'run', $count, $min_share, $min_count)
),
circuit AS (
    SELECT layer, head FROM shown_heads('shown', 'run', 'imported_heads')
),
candidates AS (
    SELECT layer, head
    FROM dump, range(n_layers) AS l(layer), range(n_heads) AS h(head)
    WHERE $among = 'all'
        OR layer < (SELECT min(layer) FROM root_heads)
        OR (layer, head) IN (FROM root_heads)
),
draws AS (
    SELECT d.draw, c.layer, c.head
    FROM range($draws) AS d(draw), candidates AS c
    QUALIFY row_number() OVER (
        PARTITION BY d.draw
        ORDER BY
            $keep_roots AND (c.layer, c.head) IN (FROM root_heads) DESC,
            md5(concat_ws(',', $seed, d.draw, c.layer, c.head)), c.layer, c.head
    ) <= (SELECT count(*) FROM circuit)
),
sets AS (
    SELECT -1 AS head_set, layer, head FROM circuit
    UNION ALL
    FROM draws
),
known AS (
    FROM reference_heads WHERE reference = coalesce($reference::VARCHAR, reference)
),
measured AS (
    SELECT
        reference, head_set AS draw, n_heads,
        unnest(['precision', 'recall', 'recall_reachable', 'f1']) AS metric,
        unnest([tp, tp, tp_reachable, 2 * tp]) AS hits,
        nullif(unnest([n_heads, n_reference, n_reachable, n_heads + n_reference]), 0) AS possible,
        hits / possible AS value
    FROM against_references('sets', 'known')
),
traced AS (
    SELECT reference, metric, n_heads, value FROM measured WHERE draw = -1
)
SELECT
    t.reference, t.metric, t.n_heads, t.value AS traced,
    sum(m.hits) / sum(m.possible) AS mean,
    quantile_cont(m.value, 0.025) AS low,
    quantile_cont(m.value, 0.975) AS high,
    quantile_cont(m.value, 0.95) AS quantile_95,
    avg((m.value >= t.value)::INTEGER) AS share_as_good
FROM traced AS t
JOIN measured AS m ON m.reference = t.reference AND m.metric = t.metric AND m.draw >= 0
GROUP BY t.reference, t.metric, t.n_heads, t.value
ORDER BY t.reference, list_position(['precision', 'recall', 'recall_reachable', 'f1'], t.metric);
