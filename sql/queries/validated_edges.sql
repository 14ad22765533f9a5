-- purpose: which edges are causal: their effect lies beyond the interval of their random control
-- params: scope VARCHAR{any,global,local_qk,local_qkv} scope of the change [= global]
--         kind VARCHAR{any,ablate,boost} kind of the change [= ablate]
--         draws INTEGER{0..100000} draws of the bootstrap [= 400]
--         seed INTEGER of the draws [= 0]
-- grain: [edge, scope, kind, strength]; every edge, validated or not; without a control none is
-- columns: label, layer, head, side, dest_role, src_role, up_layer, up_head, scope, kind, strength, weight,
--          effect, random_low, random_high, validated
SELECT
    label, layer, head, side, dest_role, src_role, up_layer, up_head, scope, kind, strength, weight,
    effect, random_low, random_high,
    coalesce(beyond, false) AS validated
FROM changed_edges('interventions', 'intervention_effects', $scope, $kind, $draws, $seed)
ORDER BY
    validated DESC, weight DESC NULLS LAST, layer, head, side, dest_role, src_role, up_layer,
    up_head, scope, kind, strength;
