-- purpose: effect of changing a single edge on the answer, with random changes of the same size as controls
-- params: scope VARCHAR{any,global,local_qk,local_qkv} only this scope [= any]
--         kind VARCHAR{any,ablate,boost} only this kind [= any]
--         draws INTEGER{0..100000} number of bootstrap draws [= 400]
--         seed INTEGER seed of the draws [= 0]
--         min_prompts INTEGER prompts needed for a verdict [= 6]
-- grain: [edge, scope, kind, strength]
-- columns: label, layer, head, side, dest_role, src_role, up_layer, up_head, scope, kind, strength, n_prompts,
--          n_pairs, weight, effect, effect_low, effect_high, effect_share, score_effect, weight_effect,
--          random_effect, random_low, random_high, n_random, beyond, helps,
--          p_value, q_value, rank_effect
-- An effect is the change of the logit difference, averaged over a prompt's pairs and then over prompts, in logits.
-- `low` and `high` bound a 95% bootstrap interval, over prompts, and for the control over prompts and seeds. `weight`
-- is the edge's mean contribution to its pairs; `effect_share` is the effect divided by the mean logit difference of
-- its prompts. `beyond` is whether the effect's interval excludes 0 and lies farther from 0 than the control's; null
-- without a control or with fewer than `min_prompts` prompts (6 is the smallest number at which a sign test can reach
-- 5%). `helps` is whether an edge beyond its control raises the logit difference. `p_value` is the share of the edge
-- and its n_random controls whose effect is at least as large, hence at least 1 / (n_random + 1): 19 controls are the
-- smallest number that can reach 5%. `q_value` is the false discovery rate (Benjamini and Hochberg) over all edges of
-- the same scope, kind and strength.
SELECT
    label, layer, head, side, dest_role, src_role, up_layer, up_head, scope, kind, strength,
    n_prompts, n_pairs, weight, effect, effect_low, effect_high, effect_share,
    score_effect, weight_effect, random_effect, random_low, random_high, n_random, beyond, helps,
    p_value, q_value, rank_effect
FROM changed_edges(
    'interventions', 'intervention_effects', $scope, $kind, $draws, $seed,
    least_prompts := $min_prompts
)
ORDER BY
    weight DESC NULLS LAST, layer, head, side, dest_role, src_role, up_layer, up_head, scope, kind,
    strength;
