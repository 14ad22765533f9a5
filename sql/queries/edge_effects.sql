-- purpose: what changing a single edge does to the answer, beside random changes of the same size
-- params: scope VARCHAR{any,global,local_qk,local_qkv} only this scope [= any]
--         kind VARCHAR{any,ablate,boost} only this kind [= any]
--         draws INTEGER{0..100000} draws of the bootstrap [= 400]
--         seed INTEGER of the draws [= 0]
--         min_prompts INTEGER fewer measured prompts decide nothing [= 6]
-- grain: [edge, scope, kind, strength]
-- columns: label, layer, head, side, dest_role, src_role, up_layer, up_head, scope, kind, strength, n_prompts,
--          n_pairs, weight, effect, effect_low, effect_high, effect_share, score_effect, weight_effect,
--          random_effect, random_low, random_high, n_random, beyond, helps,
--          p_value, q_value, rank_effect
-- An effect is the change of the logit difference, on average over a prompt's pairs, then over prompts; low and
-- high are 2.5% and 97.5% of a bootstrap over prompts, the control's over prompts and seeds. `weight` is the
-- edge's mean contribution to its pairs, `effect_share` the effect over the mean logit difference of its
-- prompts, `beyond` whether the effect's interval lies farther from 0 than the control's, without 0 (null without a
-- control, and in fewer than `min_prompts` prompts: six alike are the fewest that a sign test at 5% tells from
-- chance), `helps` whether the answer gains by an edge beyond its control, or loses.
-- `p_value` is the share of the edge and its n_random controls whose effect is at least as large, so never below
-- 1 / (n_random + 1): 19 controls are the fewest that reach 5%. `q_value` is the false discovery rate (Benjamini and
-- Hochberg) at which the edge counts, over all edges of its scope, kind and strength. What was resampled: prompts for
-- low and high, prompts and seeds for the control's, the change among its controls for p_value.
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
