-- purpose: the edges of the graph that are shown: of the table graph_edges, those with at least the count chosen
-- params: count VARCHAR what is counted [= trace.count]
--         min_share DOUBLE least count as a share of the prompts [= trace.min_share]
--         min_count BIGINT least count; goes before min_share [= trace.min_count]
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
