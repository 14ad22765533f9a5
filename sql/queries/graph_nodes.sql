-- purpose: the heads of the shown graph, how often the trace reaches their firings, and their class in the reference
-- params: count VARCHAR the count that thresholds apply to [= trace.count]
--         min_share DOUBLE smallest count of a shown edge as a share of the prompts [= trace.min_share]
--         min_count BIGINT smallest count of a shown edge; overrides min_share [= trace.min_count]
-- grain: [head of a shown edge, root, or head of an imported circuit without edges]
-- columns: layer, head, is_root, n_prompts, n_firings, n_in, n_out, in_reference, class
-- `n_in` and `n_out` are numbers of shown edges; `n_prompts` and `n_firings` are null for an imported circuit.
WITH shown AS (
    FROM frequent_edges('graph_edges', 'run', $count, $min_share, $min_count)
),
heads AS (
    FROM shown_heads('shown', 'run', 'imported_heads')
),
fired AS (
    SELECT
        p.layer, p.head,
        count(DISTINCT p.prompt_id) AS n_prompts,
        count(DISTINCT p.pair_id) AS n_firings
    FROM trace_pairs AS t
    JOIN pairs AS p USING (pair_id)
    GROUP BY p.layer, p.head
),
known AS (
    SELECT layer, head, any_value(class) AS class FROM reference_heads GROUP BY layer, head
)
SELECT
    h.layer, h.head,
    h.is_root,
    coalesce(f.n_prompts, CASE WHEN traced.has_pairs THEN 0 END) AS n_prompts,
    coalesce(f.n_firings, CASE WHEN traced.has_pairs THEN 0 END) AS n_firings,
    h.n_in, h.n_out,
    k.layer IS NOT NULL AS in_reference,
    k.class
FROM heads AS h
CROSS JOIN (SELECT count(*) > 0 AS has_pairs FROM trace_pairs) AS traced
LEFT JOIN fired AS f USING (layer, head)
LEFT JOIN known AS k USING (layer, head)
ORDER BY h.layer, h.head;
