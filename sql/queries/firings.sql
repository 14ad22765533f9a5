-- purpose: which heads fire, from which role onto which
-- params: firing_weight DOUBLE attention weight from which a head fires [= trace.firing_weight]
--         min_prompts INTEGER fewest prompts in which it does so [= 1]
-- grain: [head, role of the attending token, role of the token attended to]; null is a token without a role
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
