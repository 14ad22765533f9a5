-- purpose: model, prompts, answers and numbers of pairs of a store
-- params: firing_weight DOUBLE smallest attention weight of a firing [= trace.firing_weight]
-- grain: [1]
-- columns: model, layers, heads, prompts, tokens, accuracy, mean_logit_diff, stored_pairs, firing_pairs,
--          firing_pairs_a_prompt, firing_heads, median_signal_size, upstream_rows
WITH firing AS (
    SELECT layer, head, n_slices FROM pairs WHERE eligible AND weight >= $firing_weight
)
SELECT
    model_name AS model,
    n_layers AS layers,
    n_heads AS heads,
    (SELECT count(*) FROM prompts) AS prompts,
    (SELECT count(*) FROM tokens) AS tokens,
    (SELECT avg(correct::INTEGER) FROM prompts) AS accuracy,
    (SELECT avg(logit_diff) FROM prompts) AS mean_logit_diff,
    (SELECT count(*) FROM pairs) AS stored_pairs,
    (SELECT count(*) FROM firing) AS firing_pairs,
    (SELECT count(*) FROM firing) / nullif((SELECT count(*) FROM prompts), 0) AS firing_pairs_a_prompt,
    (SELECT count(DISTINCT (layer, head)) FROM firing) AS firing_heads,
    (SELECT median(n_slices) FROM firing) AS median_signal_size,
    (SELECT coalesce(sum(list_count(contributions)), 0)::BIGINT FROM pair_upstream) AS upstream_rows
FROM dump;
