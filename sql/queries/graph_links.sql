-- purpose: the edges of the graph that are shown, with the roles that their firings mostly attend from and to
-- params: count VARCHAR{prompts,firings,visits} what is counted [= the run's trace.count, else prompts]
--         min_share DOUBLE least count as a share of the prompts [= the run's trace.min_share, else 0.25]
--         min_count BIGINT least count; goes before min_share [= the run's trace.min_count, else null]
-- grain: [upstream, downstream, side, token role]
-- columns: up_layer, up_head, component, layer, head, side, role, n_prompts, n_firings, n_visits, total, mean,
--          dest_role, src_role, n_between
-- `n_between` is the number of the edge's firings that attend from dest_role to src_role.
SELECT
    up_layer, up_head, component, layer, head, side, role,
    n_prompts, n_firings, n_visits, total, mean,
    dest_role, src_role, n_between
FROM linked('graph_edges', 'trace_edges')
WHERE count_of($count, n_prompts, n_firings, n_visits) >= shown_count($min_share, $min_count)
ORDER BY
    count_of($count, n_prompts, n_firings, n_visits) DESC, total DESC,
    layer, head, side, role, component, up_layer, up_head;
