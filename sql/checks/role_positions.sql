-- a role belongs to one position of its prompt, and a position has one role
SELECT r.prompt_id, r.role, r.pos, p.n_tokens
FROM roles AS r
LEFT JOIN prompts AS p USING (prompt_id)
QUALIFY p.prompt_id IS NULL OR r.pos >= p.n_tokens
    OR count(*) OVER (PARTITION BY r.prompt_id, r.pos) > 1
    OR count(*) OVER (PARTITION BY r.prompt_id, r.role) > 1;
