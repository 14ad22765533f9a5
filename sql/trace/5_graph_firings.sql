-- Step 6 of svt.query.trace: the firings, counted over prompts
INSERT INTO results.graph_firings BY NAME
SELECT
    p.layer, p.head, d.role AS dest_role, s.role AS src_role,
    count(DISTINCT t.prompt_id) AS n_prompts,
    count(DISTINCT t.pair_id) AS n_firings,
    least(sum(t.visits), 9000000000000000000)::BIGINT AS n_visits
FROM results.trace_pairs AS t
JOIN pairs AS p USING (pair_id)
LEFT JOIN results.places AS d ON d.prompt_id = p.prompt_id AND d.pos = p.dest
LEFT JOIN results.places AS s ON s.prompt_id = p.prompt_id AND s.pos = p.src
GROUP BY p.layer, p.head, d.role, s.role
ORDER BY p.layer, p.head, d.role, s.role;
