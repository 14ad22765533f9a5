-- every prompt has a token at every position, and every token a prompt
WITH token_counts AS (
    SELECT prompt_id, count(*) AS n, count(DISTINCT pos) AS n_pos, max(pos) AS last
    FROM tokens
    GROUP BY prompt_id
)
SELECT prompt_id, p.n_tokens, t.n, t.n_pos, t.last
FROM prompts AS p
FULL JOIN token_counts AS t USING (prompt_id)
WHERE p.n_tokens IS NULL OR t.n IS NULL
    OR t.n <> p.n_tokens OR t.n_pos <> p.n_tokens OR t.last + 1 <> p.n_tokens;
