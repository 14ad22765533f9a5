-- purpose: the tokens of one prompt, with their roles
-- params: prompt_id INTEGER the prompt [= 0]
-- grain: [position]
-- columns: pos, token, role
SELECT t.pos, t.token, r.role
FROM tokens AS t
LEFT JOIN roles AS r ON r.prompt_id = t.prompt_id AND r.pos = t.pos
WHERE t.prompt_id = $prompt_id
ORDER BY t.pos;
