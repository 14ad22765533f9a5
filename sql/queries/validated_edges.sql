-- purpose: which edges are causal: their effect lies beyond the interval of their random control
-- params: scope VARCHAR{any,global,local_qk,local_qkv} scope of the change [= global]
--         kind VARCHAR{any,ablate,boost} kind of the change [= ablate]
--         draws INTEGER{0..100000} draws of the bootstrap [= 400]
--         seed INTEGER of the draws [= 0]
--         min_prompts INTEGER fewer measured prompts decide nothing [= 6]
-- grain: [edge, scope, kind, strength]; every edge, validated or not; without a control none is
-- columns: label, layer, head, side, dest_role, src_role, up_layer, up_head, scope, kind, strength, weight,
--          n_prompts, effect, random_low, random_high, validated, helps, p_value, q_value
-- `validated` is null in fewer than `min_prompts` prompts; of a validated edge `helps` says whether the answer gains
-- by it (it falls without the edge) or loses. evaluate.edges=validated takes both. The p- and q-values are those of
-- edge_effects.
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
