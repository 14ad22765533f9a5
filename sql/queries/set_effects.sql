-- purpose: what changing a set of edges together does to the answer, beside random changes of the same size
-- params: scope VARCHAR{any,global,local_qk,local_qkv} only this scope [= any]
--         kind VARCHAR{any,ablate,boost} only this kind [= any]
--         draws INTEGER{0..100000} draws of the bootstrap [= 400]
--         seed INTEGER of the draws [= 0]
--         min_prompts INTEGER fewer measured prompts decide nothing [= 6]
-- grain: [set, scope, kind, strength]
-- columns: label, scope, kind, strength, n_edges, n_prompts, effect, effect_low, effect_high, random_effect,
--          random_low, random_high, n_random, beyond, p_value, q_value
-- Effects, intervals, `beyond` and the p- and q-values are those of edge_effects.
WITH sizes AS (
    SELECT intervention_id, count(*) AS n_edges FROM intervention_edges GROUP BY intervention_id
)
SELECT
    c.label, c.scope, c.kind, c.strength, s.n_edges, c.n_prompts, c.effect, c.effect_low,
    c.effect_high, c.random_effect, c.random_low, c.random_high, c.n_random, c.beyond,
    c.p_value, c.q_value
FROM changed(
    'interventions', 'intervention_effects', true, $scope, $kind, $draws, $seed,
    least_prompts := $min_prompts
) AS c
LEFT JOIN sizes AS s USING (intervention_id)
ORDER BY c.label, c.scope, c.kind, c.strength;
