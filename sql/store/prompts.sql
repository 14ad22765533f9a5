-- The prompts of a store with their tokens, roles and answers, as dataset=store reads them
-- params: n_prompts INTEGER number of prompts, from the first; null for all
-- grain: [prompt]
WITH token_lists AS (
    SELECT prompt_id, list(token_id ORDER BY pos) AS tokens, list(token ORDER BY pos) AS token_texts
    FROM store.tokens
    GROUP BY prompt_id
),
role_lists AS (
    SELECT prompt_id, map(list(role ORDER BY pos), list(pos ORDER BY pos)) AS roles
    FROM store.roles
    GROUP BY prompt_id
),
answer_lists AS (
    SELECT
        prompt_id,
        list(token_id ORDER BY token, token_id) FILTER (kind = 'answer') AS answer,
        list(token ORDER BY token, token_id) FILTER (kind = 'answer') AS answer_texts,
        list(token_id ORDER BY token, token_id) FILTER (kind = 'distractor') AS distractor,
        list(token ORDER BY token, token_id) FILTER (kind = 'distractor') AS distractor_texts
    FROM store.answers
    GROUP BY prompt_id
)
SELECT
    prompt_id, p.text, t.tokens, t.token_texts, r.roles, a.answer, a.answer_texts, a.distractor,
    a.distractor_texts, p.template, p.pattern, p.original_id, p.original, p.counterfactual
FROM store.prompts AS p
JOIN token_lists AS t USING (prompt_id)
LEFT JOIN role_lists AS r USING (prompt_id)
LEFT JOIN answer_lists AS a USING (prompt_id)
ORDER BY prompt_id
LIMIT $n_prompts;
