-- purpose: how often each head fires, by the roles of its dest and src
-- params: firing_weight DOUBLE smallest attention weight of a firing [= trace.firing_weight]
--         min_prompts INTEGER smallest number of prompts [= 1]
-- grain: [head, dest role, src role]; null is a token without a role
-- columns: layer, head, dest_role, src_role, n_prompts, n_firings, mean_weight
SELECT
    p.layer, p.head, d.role AS dest_role, s.role AS src_role,
    count(DISTINCT p.prompt_id) AS n_prompts,
    count(*) AS n_firings,
    avg(p.weight) AS mean_weight
FROM pairs AS p
LEFT JOIN roles AS d ON d.prompt_id = p.prompt_id AND d.pos = p.dest
LEFT JOIN roles AS s ON s.prompt_id = p.prompt_id AND s.pos = p.src
WHERE p.eligible AND p.weight >= $firing_weight
GROUP BY p.layer, p.head, d.role, s.role
HAVING count(DISTINCT p.prompt_id) >= $min_prompts
ORDER BY p.layer, p.head, n_prompts DESC, n_firings DESC, dest_role, src_role;
