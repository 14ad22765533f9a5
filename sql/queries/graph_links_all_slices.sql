-- purpose: the shown edges of the same trace over all slices, which needs no SVD, in the form of graph_links
-- params: count VARCHAR the count that thresholds apply to [= trace.count]
--         min_share DOUBLE smallest count of a shown edge as a share of the prompts [= trace.min_share]
--         min_count BIGINT smallest count of a shown edge; overrides min_share [= trace.min_count]
--         firing_weight DOUBLE smallest attention weight of a firing [= trace.firing_weight]
--         coverage DOUBLE share of the total that the significant components exceed [= trace.coverage]
--         nonpositive VARCHAR components that are significant where the total is not positive [= trace.nonpositive]
--         components VARCHAR upstream components: heads, or all in the store [= trace.components]
--         offset VARCHAR whether the constant of the bias coordinate is added to each head [= trace.offset]
--         root_dest VARCHAR role of the token that roots attend from [= trace.root_dest]
--         root_src VARCHAR role of the token that roots attend to, or any [= trace.root_src]
-- grain: [upstream, downstream, side, token role]
-- columns: up_layer, up_head, component, layer, head, side, role, n_prompts, n_firings, n_visits, total, mean,
--          effect, dest_role, src_role, n_between
-- needs: dump.all_slices
-- The trace starts from the run's roots; contributions are over all slices of a head.
WITH all_edges AS MATERIALIZED (
    FROM traced_with(
        $root_dest, $root_src, $firing_weight, $coverage, 'all', $nonpositive, $components, $offset
    )
),
all_graph AS MATERIALIZED (
    FROM graph('all_edges')
)
SELECT
    up_layer, up_head, component, layer, head, side, role,
    n_prompts, n_firings, n_visits, total, mean, effect,
    dest_role, src_role, n_between
FROM linked('all_graph', 'all_edges')
WHERE count_of($count, n_prompts, n_firings, n_visits) >= shown_count($min_share, $min_count)
ORDER BY
    count_of($count, n_prompts, n_firings, n_visits) DESC, total DESC,
    layer, head, side, role, component, up_layer, up_head;
