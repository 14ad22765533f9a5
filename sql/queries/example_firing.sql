-- purpose: a typical firing of a head: the largest weight between its most frequent roles, tokens without a role last
-- params: layer INTEGER layer of the head
--         head INTEGER the head in its layer
--         dest_role VARCHAR only firings from a token with this role, or any [= any]
--         src_role VARCHAR only firings to a token with this role, or any [= any]
--         prompt_id INTEGER only in this prompt [= null]
--         firing_weight DOUBLE smallest attention weight of a firing [= trace.firing_weight]
-- grain: [1]; no row if the head never fires between these roles
-- columns: pair_id, prompt_id, layer, head, dest, src, dest_token, src_token, dest_role, src_role,
--          weight, score, n_slices, text
WITH firing AS (
    SELECT
        p.pair_id, p.prompt_id, p.layer, p.head, p.dest, p.src, p.weight, p.score, p.n_slices,
        d.role AS dest_role, s.role AS src_role,
        count(*) OVER (PARTITION BY d.role, s.role) AS frequency
    FROM pairs AS p
    LEFT JOIN roles AS d ON d.prompt_id = p.prompt_id AND d.pos = p.dest
    LEFT JOIN roles AS s ON s.prompt_id = p.prompt_id AND s.pos = p.src
    WHERE p.layer = $layer AND p.head = $head AND p.eligible AND p.weight >= $firing_weight
        AND ($dest_role = 'any' OR d.role = $dest_role)
        AND ($src_role = 'any' OR s.role = $src_role)
)
SELECT
    f.pair_id, f.prompt_id, f.layer, f.head, f.dest, f.src,
    d.token AS dest_token, s.token AS src_token, f.dest_role, f.src_role,
    f.weight, f.score, f.n_slices, p.text
FROM firing AS f
LEFT JOIN prompts AS p USING (prompt_id)
LEFT JOIN tokens AS d ON d.prompt_id = f.prompt_id AND d.pos = f.dest
LEFT JOIN tokens AS s ON s.prompt_id = f.prompt_id AND s.pos = f.src
WHERE f.prompt_id = coalesce($prompt_id::INTEGER, f.prompt_id)
ORDER BY
    (f.dest_role IS NULL)::INTEGER + (f.src_role IS NULL)::INTEGER,
    f.frequency DESC, f.dest_role, f.src_role, f.weight DESC, f.pair_id
LIMIT 1;
