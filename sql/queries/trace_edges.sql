-- purpose: the edges of the trace, with the roles of their tokens or their places in the graph
-- params: prompt_id INTEGER only this prompt [= null]
--         min_visits INTEGER smallest number of visits [= 1]
-- grain: [root, reached pair, side, upstream]
-- columns: root_layer, root_head, prompt_id, pair_id, depth, layer, head, dest, dest_role, src, src_role,
--          side, component, up_layer, up_head, contribution, effect, visits
SELECT
    e.root_layer, e.root_head, e.prompt_id, e.pair_id, t.depth, e.layer, e.head,
    e.dest, d.role AS dest_role, e.src, s.role AS src_role,
    e.side, e.component, e.up_layer, e.up_head, e.contribution, e.effect, e.visits
FROM trace_edges AS e
JOIN trace_pairs AS t USING (root_layer, root_head, pair_id)
LEFT JOIN places AS d ON d.prompt_id = e.prompt_id AND d.pos = e.dest
LEFT JOIN places AS s ON s.prompt_id = e.prompt_id AND s.pos = e.src
WHERE e.prompt_id = coalesce($prompt_id::INTEGER, e.prompt_id) AND e.visits >= $min_visits
ORDER BY
    e.root_layer, e.root_head, e.prompt_id, t.depth, e.pair_id, e.side, e.contribution DESC,
    e.component, e.up_layer, e.up_head;
