-- purpose: size and depth of the trace from each root
-- params: none
-- grain: [root]
-- columns: root_layer, root_head, prompts, pairs, heads, edges, deepest, visits
WITH reached AS (
    SELECT
        root_layer, root_head,
        count(DISTINCT prompt_id) AS prompts,
        count(*) AS pairs,
        max(depth) AS deepest,
        least(sum(visits), 9000000000000000000)::BIGINT AS visits
    FROM trace_pairs
    GROUP BY root_layer, root_head
),
edges_of AS (
    SELECT
        root_layer, root_head,
        count(*) AS edges,
        count(DISTINCT (up_layer, up_head)) FILTER (WHERE component = 'head') AS heads
    FROM trace_edges
    GROUP BY root_layer, root_head
)
SELECT
    root_layer, root_head, prompts, pairs,
    coalesce(heads, 0) AS heads, coalesce(edges, 0) AS edges, deepest, visits
FROM reached
LEFT JOIN edges_of USING (root_layer, root_head)
ORDER BY root_layer, root_head;
