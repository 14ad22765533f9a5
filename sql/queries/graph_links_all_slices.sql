-- purpose: the edges of the same trace without singular vectors, as graph_links tells them
-- params: count VARCHAR what is counted [= trace.count]
--         min_share DOUBLE least count as a share of the prompts [= trace.min_share]
--         min_count BIGINT least count; goes before min_share [= trace.min_count]
--         firing_weight DOUBLE attention weight from which a head fires [= trace.firing_weight]
--         coverage DOUBLE share of the total that the significant heads exceed [= trace.coverage]
--         nonpositive VARCHAR what a total that is not positive keeps [= trace.nonpositive]
--         components VARCHAR heads, or all that the store holds [= trace.components]
--         offset VARCHAR each head's constant of the bias coordinate [= trace.offset]
--         root_dest VARCHAR role of the token that roots attend from [= trace.root_dest]
--         root_src VARCHAR role of the token they attend to, or any [= trace.root_src]
-- grain: [upstream, downstream, side, token role]
-- columns: up_layer, up_head, component, layer, head, side, role, n_prompts, n_firings, n_visits, total, mean,
--          effect, dest_role, src_role, n_between
-- needs: dump.all_slices
-- The trace starts from the run's roots; contributions are those over all slices of a head.
WITH all_edges AS MATERIALIZED (
    FROM traced(
        (SELECT list(DISTINCT [root_layer, root_head]) FROM trace_pairs), $root_dest, $root_src,
        $firing_weight, $coverage, 'all', $nonpositive, $components, $offset
    )
    WHERE side IS NOT NULL
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
