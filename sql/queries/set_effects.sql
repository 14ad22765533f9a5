-- purpose: effect of changing a set of edges together on the answer, with random changes of the same size as controls
-- params: scope VARCHAR{any,global,local_qk,local_qkv} only this scope [= any]
--         kind VARCHAR{any,ablate,boost} only this kind [= any]
--         draws INTEGER{0..100000} number of bootstrap draws [= 400]
--         seed INTEGER seed of the draws [= 0]
--         min_prompts INTEGER prompts needed for a verdict [= 6]
-- grain: [set, scope, kind, strength]
-- columns: label, scope, kind, strength, n_edges, n_prompts, effect, effect_low, effect_high, random_effect,
--          random_low, random_high, n_random, beyond, p_value, q_value
-- Effects, intervals, `beyond`, p- and q-values are defined as in edge_effects.
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
