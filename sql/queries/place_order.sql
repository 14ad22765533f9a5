-- purpose: the columns of the graph: roles and places of tokens, in the order in which they occur in the prompts
-- params: none
-- grain: [role]
-- columns: role, n_prompts, from_end
-- `from_end` is the mean number of tokens to the last token of the prompt.
SELECT
    role,
    count(DISTINCT prompt_id) AS n_prompts,
    avg(n_tokens::INTEGER - 1 - pos) AS from_end
FROM places
JOIN prompts USING (prompt_id)
GROUP BY role
ORDER BY from_end DESC, role;
