-- purpose: the trace=released edges as the authors' scripts count them, for comparison with their published graph
-- params: min_count BIGINT smallest count of an edge [= 1]
--         firing_weight DOUBLE smallest attention weight of a firing [= trace.firing_weight]
--         coverage DOUBLE share of the total that the significant components exceed [= trace.coverage]
--         root_dest VARCHAR role of the token that roots attend from [= trace.root_dest]
--         root_src VARCHAR role of the token that roots attend to, or any [= trace.root_src]
-- grain: [upstream, downstream, token role]
-- columns: up_layer, up_head, layer, head, role, sides, count, n_visits, n_prompts
-- `count` differs from n_visits in two ways: an edge is identified by its two heads and the token's role, over both
-- sides (`sides` names them), and all its visits in its first prompt count as one.
WITH released_edges AS (
    FROM traced_with(
        $root_dest, $root_src, $firing_weight, $coverage, 'signal', 'top', 'head', 'include'
    )
),
by_prompt AS (
    SELECT
        up_layer, up_head, layer, head, role, prompt_id,
        list(DISTINCT side::VARCHAR) AS sides,
        sum(n_visits) AS visits
    FROM edge_prompts('released_edges')
    GROUP BY ALL
)
SELECT
    up_layer, up_head, layer, head, role,
    array_to_string(list_sort(list_distinct(flatten(list(sides)))), ', ') AS sides,
    least(sum(visits) - arg_min(visits, prompt_id) + 1, 9000000000000000000)::BIGINT AS count,
    least(sum(visits), 9000000000000000000)::BIGINT AS n_visits,
    count(*) AS n_prompts
FROM by_prompt
GROUP BY up_layer, up_head, layer, head, role
HAVING count >= $min_count
ORDER BY count DESC, layer, head, role, up_layer, up_head;
