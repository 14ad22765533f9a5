-- purpose: the strongest firing of one head in each prompt, with the tokens of the prompt
-- params: layer INTEGER layer of the head
--         head INTEGER the head in its layer
--         firing_weight DOUBLE smallest attention weight of a firing [= trace.firing_weight]
--         n_firings INTEGER largest number of rows [= 8]
-- grain: [firing]
-- columns: prompt_id, pair_id, dest, src, dest_role, src_role, weight, score, tokens
WITH strongest AS (
    SELECT prompt_id, pair_id, dest, src, weight, score
    FROM pairs
    WHERE layer = $layer AND head = $head AND eligible AND weight >= $firing_weight
    QUALIFY row_number() OVER (PARTITION BY prompt_id ORDER BY weight DESC, pair_id) = 1
    ORDER BY weight DESC, pair_id
    LIMIT $n_firings
),
texts AS (
    SELECT prompt_id, list(token ORDER BY pos) AS tokens
    FROM tokens
    SEMI JOIN strongest USING (prompt_id)
    GROUP BY prompt_id
)
SELECT
    p.prompt_id, p.pair_id, p.dest, p.src, d.role AS dest_role, s.role AS src_role, p.weight, p.score, t.tokens
FROM strongest AS p
JOIN texts AS t USING (prompt_id)
LEFT JOIN roles AS d ON d.prompt_id = p.prompt_id AND d.pos = p.dest
LEFT JOIN roles AS s ON s.prompt_id = p.prompt_id AND s.pos = p.src
ORDER BY p.weight DESC, p.pair_id;
