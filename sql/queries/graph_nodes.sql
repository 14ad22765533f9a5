-- purpose: the heads of the shown graph, how often the trace reaches their firings, and their class in the reference
-- params: count VARCHAR the count that thresholds apply to [= trace.count]
--         min_share DOUBLE smallest count of a shown edge as a share of the prompts [= trace.min_share]
--         min_count BIGINT smallest count of a shown edge; overrides min_share [= trace.min_count]
-- grain: [head of a shown edge, root, or head of an imported circuit without edges]
-- columns: layer, head, is_root, n_prompts, n_firings, n_in, n_out, in_reference, class
-- `n_in` and `n_out` are numbers of shown edges; `n_prompts` and `n_firings` are null for an imported circuit.
WITH root_heads AS (
    SELECT DISTINCT root[1] AS layer, root[2] AS head
    FROM (SELECT unnest(roots::INTEGER[][]) AS root FROM run)
),
shown AS (
    SELECT layer, head, up_layer, up_head, component
    FROM graph_edges
    WHERE count_of($count, n_prompts, n_firings, n_visits) >= shown_count($min_share, $min_count)
),
ends AS (
    SELECT layer, head, 1 AS edge_in, 0 AS edge_out FROM shown
    UNION ALL
    SELECT up_layer, up_head, 0, 1 FROM shown WHERE component = 'head'
    UNION ALL
    SELECT layer, head, 0, 0 FROM root_heads
    UNION ALL
    SELECT layer, head, 0, 0 FROM imported_heads
),
heads AS (
    SELECT layer, head, sum(edge_in)::BIGINT AS n_in, sum(edge_out)::BIGINT AS n_out
    FROM ends
    GROUP BY layer, head
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
    r.layer IS NOT NULL AS is_root,
    coalesce(f.n_prompts, CASE WHEN traced.has_pairs THEN 0 END) AS n_prompts,
    coalesce(f.n_firings, CASE WHEN traced.has_pairs THEN 0 END) AS n_firings,
    h.n_in, h.n_out,
    k.layer IS NOT NULL AS in_reference,
    k.class
FROM heads AS h
CROSS JOIN (SELECT count(*) > 0 AS has_pairs FROM trace_pairs) AS traced
LEFT JOIN root_heads AS r USING (layer, head)
LEFT JOIN fired AS f USING (layer, head)
LEFT JOIN known AS k USING (layer, head)
ORDER BY h.layer, h.head;
