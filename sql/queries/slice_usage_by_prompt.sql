-- purpose: the slices in the signal of one pair of a head in each prompt: its strongest firing, or its weakest pair
-- params: layer INTEGER layer of the head
--         head INTEGER the head in its layer
--         firing BOOLEAN the firing with the largest weight; false: the pair with the lowest score, not firing [= true]
--         dest_role VARCHAR only pairs from a token with this role, or any [= any]
--         src_role VARCHAR only pairs to a token with this role, or any [= any]
--         firing_weight DOUBLE smallest attention weight of a firing [= trace.firing_weight]
-- grain: [prompt, slice in the signal of its pair]; pairs with the first token as src do not count
-- columns: prompt_id, pair_id, dest, src, weight, score, n_slices, d_head, k
WITH chosen AS (
    SELECT p.*
    FROM pairs AS p
    LEFT JOIN roles AS d ON d.prompt_id = p.prompt_id AND d.pos = p.dest
    LEFT JOIN roles AS s ON s.prompt_id = p.prompt_id AND s.pos = p.src
    WHERE p.layer = $layer AND p.head = $head AND p.src > 0
        AND (p.eligible AND p.weight >= $firing_weight) = $firing
        AND ($dest_role = 'any' OR d.role = $dest_role)
        AND ($src_role = 'any' OR s.role = $src_role)
    QUALIFY row_number() OVER (
        PARTITION BY p.prompt_id
        ORDER BY CASE WHEN $firing THEN -p.weight ELSE p.score END, p.pair_id
    ) = 1
)
SELECT
    c.prompt_id, c.pair_id, c.dest, c.src, c.weight, c.score, c.n_slices,
    (SELECT d_head FROM dump) AS d_head, s.k
FROM chosen AS c
JOIN slices AS s ON s.pair_id = c.pair_id AND s.in_signal
ORDER BY c.prompt_id, s.k;
