-- purpose: the shown edges of the graph, with the most frequent roles of their firings' two tokens
-- params: count VARCHAR the count that thresholds apply to [= trace.count]
--         min_share DOUBLE smallest count of a shown edge as a share of the prompts [= trace.min_share]
--         min_count BIGINT smallest count of a shown edge; overrides min_share [= trace.min_count]
-- grain: [upstream, downstream, side, token role]
-- columns: up_layer, up_head, component, layer, head, side, role, n_prompts, n_firings, n_visits, total, mean,
--          effect, dest_role, src_role, n_between
-- `n_between` is the number of the edge's firings from dest_role to src_role. For an imported circuit the role of the
-- other token is the first by name among those in its file.
WITH imported_roles AS (
    SELECT
        up_layer, up_head, component, layer, head, side, role,
        min(other_role) AS other_role
    FROM imported_edges
    GROUP BY ALL
)
SELECT
    g.up_layer, g.up_head, g.component, g.layer, g.head, g.side, g.role,
    n_prompts, n_firings, n_visits, total, mean, effect,
    coalesce(dest_role, CASE g.side WHEN 'src' THEN t.other_role END) AS dest_role,
    coalesce(src_role, CASE g.side WHEN 'dest' THEN t.other_role END) AS src_role,
    n_between
FROM linked('graph_edges', 'trace_edges') AS g
LEFT JOIN imported_roles AS t
    ON t.layer = g.layer AND t.head = g.head AND t.component = g.component
    AND t.side = g.side AND t.role = g.role
    AND t.up_layer IS NOT DISTINCT FROM g.up_layer AND t.up_head IS NOT DISTINCT FROM g.up_head
WHERE count_of($count, n_prompts, n_firings, n_visits) >= shown_count($min_share, $min_count)
ORDER BY
    count_of($count, n_prompts, n_firings, n_visits) DESC, total DESC,
    g.layer, g.head, g.side, g.role, g.component, g.up_layer, g.up_head;
