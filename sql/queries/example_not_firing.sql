-- purpose: a pair on which a head does not fire, as a contrast to a firing: the lowest negative score
-- params: layer INTEGER layer of the head
--         head INTEGER the head in its layer
--         beside BIGINT pair_id of a firing; pairs of its prompt come first, then those of its dest token [= null]
--         dest_role VARCHAR only pairs from a token with this role, or any [= any]
--         src_role VARCHAR only pairs to a token with this role, or any [= any]
--         prompt_id INTEGER only in this prompt [= null]
--         firing_weight DOUBLE smallest attention weight of a firing [= trace.firing_weight]
-- grain: [1]; no row if the store has no such pair; pairs with the first token as src do not count
-- columns: pair_id, prompt_id, layer, head, dest, src, dest_token, src_token, dest_role, src_role,
--          weight, score, n_slices, text
WITH firing AS (
    SELECT max(prompt_id) AS prompt_id, max(dest) AS dest FROM pairs WHERE pair_id = $beside::BIGINT
),
not_firing AS (
    SELECT
        p.pair_id, p.prompt_id, p.layer, p.head, p.dest, p.src, p.weight, p.score, p.n_slices,
        d.role AS dest_role, s.role AS src_role,
        coalesce(p.prompt_id = f.prompt_id, false) AS same_prompt,
        same_prompt AND p.dest = f.dest AS same_dest
    FROM pairs AS p
    CROSS JOIN firing AS f
    LEFT JOIN roles AS d ON d.prompt_id = p.prompt_id AND d.pos = p.dest
    LEFT JOIN roles AS s ON s.prompt_id = p.prompt_id AND s.pos = p.src
    WHERE p.layer = $layer AND p.head = $head AND p.src > 0
        AND NOT (p.eligible AND p.weight >= $firing_weight)
        AND p.prompt_id = coalesce($prompt_id::INTEGER, p.prompt_id)
        AND ($dest_role = 'any' OR d.role = $dest_role)
        AND ($src_role = 'any' OR s.role = $src_role)
)
SELECT
    n.pair_id, n.prompt_id, n.layer, n.head, n.dest, n.src,
    d.token AS dest_token, s.token AS src_token, n.dest_role, n.src_role,
    n.weight, n.score, n.n_slices, p.text
FROM not_firing AS n
LEFT JOIN prompts AS p USING (prompt_id)
LEFT JOIN tokens AS d ON d.prompt_id = n.prompt_id AND d.pos = n.dest
LEFT JOIN tokens AS s ON s.prompt_id = n.prompt_id AND s.pos = n.src
ORDER BY n.same_prompt DESC, n.score >= 0, n.same_dest DESC, n.score, n.pair_id
LIMIT 1;
