-- a prompt has tokens of its answer and of its distractor, and they differ
WITH token_sets AS (
    SELECT
        prompt_id,
        string_agg(token, '|' ORDER BY token, token_id) FILTER (kind = 'answer') AS answers,
        string_agg(token, '|' ORDER BY token, token_id) FILTER (kind = 'distractor') AS distractors,
        count(*) AS n_rows,
        count(DISTINCT token_id) FILTER (kind IN ('answer', 'distractor')) AS n_tokens
    FROM answers
    GROUP BY prompt_id
)
SELECT prompt_id, p.answer, t.answers, p.distractor, t.distractors
FROM prompts AS p
FULL JOIN token_sets AS t USING (prompt_id)
WHERE p.n_tokens IS NULL OR t.n_rows <> t.n_tokens
    OR p.answer IS DISTINCT FROM t.answers OR p.distractor IS DISTINCT FROM t.distractors;
