-- prompt_effects: effect of every intervention on each prompt, averaged over its changed pairs
-- grain: [intervention, prompt]
-- A change is an edge or a set of edges in one scope, kind and strength; its random controls share its change_id.
-- `interventions_table` and `effects_table` name relations like interventions and intervention_effects; `scope_rule`
-- and `kind_rule` are a scope and a kind, or any.
CREATE OR REPLACE TEMP MACRO prompt_effects(
    interventions_table, effects_table, of_sets, scope_rule, kind_rule
) AS TABLE
WITH chosen AS (
    SELECT
        intervention_id, control::VARCHAR AS control, seed,
        min(intervention_id) OVER (
            PARTITION BY
                label, layer, head, side, dest_role, src_role, up_layer, up_head, scope, kind,
                strength
        ) AS change_id
    FROM query_table(interventions_table)
    WHERE (layer IS NULL) = of_sets
        AND (scope_rule = 'any' OR scope::VARCHAR = scope_rule)
        AND (kind_rule = 'any' OR kind::VARCHAR = kind_rule)
)
SELECT
    c.change_id, e.intervention_id, c.control, c.seed, e.prompt_id,
    count(*) AS n_pairs,
    any_value(e.logit_diff)::DOUBLE AS logit_diff,
    avg(e.logit_diff_after::DOUBLE - e.logit_diff) AS effect,
    avg(e.score_after::DOUBLE - e.score) AS score_effect,
    avg(e.weight_after::DOUBLE - e.weight) AS weight_effect,
    avg(e.answer_rank_after - e.answer_rank) AS rank_effect
FROM query_table(effects_table) AS e
JOIN chosen AS c USING (intervention_id)
GROUP BY c.change_id, e.intervention_id, c.control, c.seed, e.prompt_id;
