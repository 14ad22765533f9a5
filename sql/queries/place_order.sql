-- purpose: the columns of the graph: the roles and places of tokens, as they stand in the prompts from left to right
-- params: none
-- grain: [role]
-- columns: role, n_prompts, from_end
-- `from_end` is the mean number of tokens from it to the prompt's last one.
SELECT
    role,
    count(DISTINCT prompt_id) AS n_prompts,
    avg(n_tokens::INTEGER - 1 - pos) AS from_end
FROM places
JOIN prompts USING (prompt_id)
GROUP BY role
ORDER BY from_end DESC, role;
