-- purpose: direct effect of one head on the logit difference, over prompts
-- params: layer INTEGER layer of the head
--         head INTEGER the head in its layer
-- grain: [1]; no row if the prompts have no answers
-- columns: layer, head, n_prompts, mean, low, high, share_positive, place, n_heads
-- `mean` is in logits; `low` and `high` are the 2.5% and 97.5% quantiles over prompts. `place` is the head's position
-- by mean among all `n_heads`, from 1.
WITH means AS (
    SELECT
        layer, head,
        count(*) AS n_prompts,
        avg(logit_diff_effect ORDER BY prompt_id) AS mean,
        quantile_cont(logit_diff_effect, 0.025) AS low,
        quantile_cont(logit_diff_effect, 0.975) AS high,
        avg((logit_diff_effect > 0)::INTEGER) AS share_positive
    FROM head_effects
    GROUP BY layer, head
)
SELECT *
FROM (
    SELECT
        *,
        row_number() OVER (ORDER BY mean DESC, layer, head) AS place,
        count(*) OVER () AS n_heads
    FROM means
)
WHERE layer = $layer AND head = $head;
