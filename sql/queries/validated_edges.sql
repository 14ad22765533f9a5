-- purpose: edges whose effect lies beyond the interval of their random control
-- params: scope VARCHAR{any,global,local_qk,local_qkv} scope of the change [= global]
--         kind VARCHAR{any,ablate,boost} kind of the change [= ablate]
--         draws INTEGER{0..100000} number of bootstrap draws [= 400]
--         seed INTEGER seed of the draws [= 0]
--         min_prompts INTEGER prompts needed for a verdict [= 6]
-- grain: [edge, scope, kind, strength]; all edges, validated or not; without a control none is validated
-- columns: label, layer, head, side, dest_role, src_role, up_layer, up_head, scope, kind, strength, weight,
--          n_prompts, effect, random_low, random_high, validated, helps, p_value, q_value
-- `validated` is null with fewer than `min_prompts` prompts; `helps` is whether a validated edge raises the logit
-- difference. evaluate.edges=validated takes both kinds. p- and q-values are defined as in edge_effects.
SELECT
    label, layer, head, side, dest_role, src_role, up_layer, up_head, scope, kind, strength, weight,
    n_prompts, effect, random_low, random_high,
    CASE WHEN random_low IS NULL THEN false ELSE beyond END AS validated,
    helps, p_value, q_value
FROM changed_edges(
    'interventions', 'intervention_effects', $scope, $kind, $draws, $seed,
    least_prompts := $min_prompts
)
ORDER BY
    validated DESC, weight DESC NULLS LAST, layer, head, side, dest_role, src_role, up_layer,
    up_head, scope, kind, strength;
