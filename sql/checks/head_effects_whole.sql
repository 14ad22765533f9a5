-- a prompt has the effect of every head, or of none
SELECT e.prompt_id, count(*) AS n, count(DISTINCT (e.layer, e.head)) AS n_heads
FROM head_effects AS e
LEFT JOIN prompts AS p USING (prompt_id)
GROUP BY e.prompt_id
HAVING count(p.prompt_id) <> count(*)
    OR count(*) <> (SELECT n_layers * n_heads FROM dump)
    OR count(DISTINCT (e.layer, e.head)) <> count(*)
    OR NOT bool_and(isfinite(e.logit_diff_effect));
