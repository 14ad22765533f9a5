-- purpose: effect of changing a set of edges together against the sum of the effects of its edges alone
-- params: scope VARCHAR{any,global,local_qk,local_qkv} only this scope [= any]
--         kind VARCHAR{any,ablate,boost} only this kind [= any]
--         draws INTEGER{0..100000} number of bootstrap draws [= 400]
--         seed INTEGER seed of the draws [= 0]
-- grain: [set, scope, kind, strength]
-- columns: label, arrangement, scope, kind, strength, n_edges, n_prompts, effect, effect_low, effect_high,
--          sum_of_members, ratio, difference, difference_low, difference_high
-- `sum_of_members` is, per prompt, the sum of the effects of the set's edges changed alone, each averaged over the
-- edge's pairs in the prompt, 0 without a pair; it is null when an edge was not changed alone. `difference` is effect -
-- sum_of_members, `ratio` is effect / sum_of_members. `arrangement` (parallel or serial) is the part of the label
-- before the colon.
WITH of_sets AS (
    FROM prompt_effects('interventions', 'intervention_effects', true, $scope, $kind)
    WHERE control = 'signal' AND effect IS NOT NULL
),
of_edges AS (
    FROM prompt_effects('interventions', 'intervention_effects', false, $scope, $kind)
    WHERE control = 'signal'
),
alone AS (
    SELECT * FROM interventions WHERE layer IS NOT NULL AND control = 'signal'
),
members AS (
    SELECT s.intervention_id, a.intervention_id AS member_id
    FROM interventions AS s
    JOIN intervention_edges AS e USING (intervention_id)
    LEFT JOIN alone AS a
        ON a.layer = e.layer AND a.head = e.head AND a.side = e.side
        AND a.up_layer = e.up_layer AND a.up_head = e.up_head
        AND a.dest_role IS NOT DISTINCT FROM e.dest_role
        AND a.src_role IS NOT DISTINCT FROM e.src_role
        AND a.scope = s.scope AND a.kind = s.kind AND a.strength = s.strength
    WHERE s.layer IS NULL AND s.control = 'signal'
),
sizes AS (
    SELECT intervention_id, count(*) AS n_edges FROM members GROUP BY intervention_id
),
by_prompt AS MATERIALIZED (
    SELECT
        s.intervention_id, s.prompt_id, s.effect,
        CASE WHEN count(m.member_id) = count(*) THEN sum(e.effect ORDER BY m.member_id) END
            AS sum_of_members
    FROM of_sets AS s
    JOIN members AS m USING (intervention_id)
    LEFT JOIN of_edges AS e ON e.intervention_id = m.member_id AND e.prompt_id = s.prompt_id
    GROUP BY s.intervention_id, s.prompt_id, s.effect
),
effect_values AS (
    SELECT intervention_id AS series, NULL AS repeat, prompt_id, effect AS value FROM by_prompt
),
difference_values AS (
    SELECT
        intervention_id AS series, NULL AS repeat, prompt_id, effect - sum_of_members AS value
    FROM by_prompt
),
sums AS (
    SELECT
        intervention_id,
        count(*) AS n_prompts,
        sum(sum_of_members ORDER BY prompt_id) / count(sum_of_members) AS sum_of_members
    FROM by_prompt
    GROUP BY intervention_id
)
SELECT
    i.label,
    CASE WHEN contains(i.label, ':') THEN split_part(i.label, ':', 1) END AS arrangement,
    i.scope, i.kind, i.strength, n.n_edges, s.n_prompts,
    e.mean AS effect, e.low AS effect_low, e.high AS effect_high,
    s.sum_of_members,
    e.mean / nullif(s.sum_of_members, 0) AS ratio,
    d.mean AS difference, d.low AS difference_low, d.high AS difference_high
FROM sums AS s
JOIN interventions AS i USING (intervention_id)
JOIN sizes AS n USING (intervention_id)
LEFT JOIN bootstrapped('effect_values', $draws, $seed) AS e ON e.series = s.intervention_id
LEFT JOIN bootstrapped('difference_values', $draws, $seed) AS d ON d.series = s.intervention_id
ORDER BY arrangement, i.label, i.scope, i.kind, i.strength;
