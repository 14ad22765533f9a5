-- purpose: the stored attention pairs with their tokens, roles and template, and whether they fire
-- params: firing_weight DOUBLE smallest attention weight of a firing [= trace.firing_weight]
-- grain: [stored attention pair]
-- columns: pair_id, prompt_id, template, pattern, layer, head, dest, dest_token, dest_role, src, src_token,
--          src_role, weight, score, n_slices, eligible, sampled, fires
-- Pairs below dump.min_weight are only a sample (`sampled`), so averages over all rows are not averages of the model.
-- All firings are stored.
SELECT
    p.pair_id, p.prompt_id, r.template, r.pattern, p.layer, p.head,
    p.dest, d.token AS dest_token, dr.role AS dest_role,
    p.src, s.token AS src_token, sr.role AS src_role,
    p.weight, p.score, p.n_slices, p.eligible, p.sampled,
    p.eligible AND p.weight >= $firing_weight AS fires
FROM pairs AS p
JOIN prompts AS r USING (prompt_id)
JOIN tokens AS d ON d.prompt_id = p.prompt_id AND d.pos = p.dest
JOIN tokens AS s ON s.prompt_id = p.prompt_id AND s.pos = p.src
LEFT JOIN roles AS dr ON dr.prompt_id = p.prompt_id AND dr.pos = p.dest
LEFT JOIN roles AS sr ON sr.prompt_id = p.prompt_id AND sr.pos = p.src
ORDER BY p.pair_id;
