-- purpose: mean contribution of every upstream head to one head's firings, over signal slices and over all slices
-- params: layer INTEGER layer of the head that fires
--         head INTEGER the head in its layer
--         dest_role VARCHAR only firings from a token with this role, or any [= any]
--         src_role VARCHAR only firings to a token with this role, or any [= any]
--         prompt_id INTEGER only in this prompt [= null]
--         firing_weight DOUBLE smallest attention weight of a firing [= trace.firing_weight]
-- grain: [side, upstream head]; side is the token that is written to
-- columns: side, up_layer, up_head, contribution, contribution_all, effect, n_firings
SELECT
    u.side, u.up_layer, u.up_head,
    avg(u.contribution ORDER BY u.pair_id) AS contribution,
    avg(u.contribution_all ORDER BY u.pair_id) AS contribution_all,
    avg(p.weight - u.weight_without ORDER BY u.pair_id) AS effect,
    count(*) AS n_firings
FROM upstream AS u
JOIN pairs AS p USING (pair_id)
LEFT JOIN roles AS d ON d.prompt_id = p.prompt_id AND d.pos = p.dest
LEFT JOIN roles AS s ON s.prompt_id = p.prompt_id AND s.pos = p.src
WHERE p.layer = $layer AND p.head = $head AND p.eligible AND p.weight >= $firing_weight
    AND u.component = 'head'
    AND p.prompt_id = coalesce($prompt_id::INTEGER, p.prompt_id)
    AND ($dest_role = 'any' OR d.role = $dest_role)
    AND ($src_role = 'any' OR s.role = $src_role)
GROUP BY u.side, u.up_layer, u.up_head
ORDER BY u.side, u.up_layer, u.up_head;
