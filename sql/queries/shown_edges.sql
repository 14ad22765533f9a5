-- purpose: the shown edges of the graph: the rows of graph_edges with at least the chosen count
-- params: count VARCHAR the count that thresholds apply to [= trace.count]
--         min_share DOUBLE smallest count of a shown edge as a share of the prompts [= trace.min_share]
--         min_count BIGINT smallest count of a shown edge; overrides min_share [= trace.min_count]
-- grain: [upstream, downstream, side, token role]
-- columns: up_layer, up_head, component, layer, head, side, role, n_prompts, n_firings, n_visits, total, mean,
--          effect
SELECT
    up_layer, up_head, component, layer, head, side, role,
    n_prompts, n_firings, n_visits, total, mean, effect
FROM graph_edges
WHERE count_of($count, n_prompts, n_firings, n_visits) >= shown_count($min_share, $min_count)
ORDER BY
    count_of($count, n_prompts, n_firings, n_visits) DESC, total DESC,
    layer, head, side, role, component, up_layer, up_head;
