-- changed: effect of changing edges or sets of edges, with the same change to random slices as a control
-- grain: [edge or set, scope, kind, strength]
-- The effect is the mean over prompts of the change of the logit difference, with a bootstrap interval over prompts;
-- that of the control is over prompts and seeds. `beyond` is whether the effect's interval excludes 0 and lies farther
-- from 0 than the control's; null without a control or with fewer than `least_prompts` prompts. `helps` is whether an
-- edge or set with an effect beyond its control raises the logit difference: ablating it lowers the difference,
-- boosting it raises it.
CREATE OR REPLACE TEMP MACRO changed(
    interventions_table, effects_table, of_sets, scope_rule, kind_rule, n_draws, draw_seed,
    least_prompts := 6
) AS TABLE
WITH by_prompt AS MATERIALIZED (
    FROM prompt_effects(interventions_table, effects_table, of_sets, scope_rule, kind_rule)
),
signal_values AS (
    SELECT change_id AS series, NULL::BIGINT AS repeat, prompt_id, effect AS value
    FROM by_prompt
    WHERE control = 'signal'
),
random_values AS (
    SELECT change_id AS series, seed AS repeat, prompt_id, effect AS value
    FROM by_prompt
    WHERE control = 'random'
),
signals AS (
    SELECT
        change_id, intervention_id,
        count(*) AS n_prompts,
        count(effect) AS n_measured,
        sum(n_pairs)::BIGINT AS n_pairs,
        sum(logit_diff ORDER BY prompt_id) / count(logit_diff) AS logit_diff,
        sum(score_effect ORDER BY prompt_id) / count(*) AS score_effect,
        sum(weight_effect ORDER BY prompt_id) / count(*) AS weight_effect,
        sum(rank_effect ORDER BY prompt_id) / count(rank_effect) AS rank_effect
    FROM by_prompt
    WHERE control = 'signal'
    GROUP BY change_id, intervention_id
),
compared AS MATERIALIZED (
    SELECT
        s.*,
        i.label, i.layer, i.head, i.side, i.dest_role, i.src_role, i.up_layer, i.up_head, i.scope,
        i.kind, i.strength,
        e.mean AS effect, e.low AS effect_low, e.high AS effect_high,
        r.mean AS random_effect, r.low AS random_low, r.high AS random_high,
        coalesce(r.n_repeats, 0) AS n_random,
        r.mean IS NOT NULL AND s.n_measured >= least_prompts AS decided
    FROM signals AS s
    JOIN query_table(interventions_table) AS i USING (intervention_id)
    LEFT JOIN bootstrapped('signal_values', n_draws, draw_seed) AS e ON e.series = s.change_id
    LEFT JOIN bootstrapped('random_values', n_draws, draw_seed) AS r ON r.series = s.change_id
),
control_means AS (
    SELECT series, avg(value ORDER BY prompt_id) AS mean
    FROM random_values
    WHERE value IS NOT NULL
    GROUP BY series, repeat
),
tests AS (
    SELECT
        c.change_id,
        (c.scope, c.kind, c.strength) AS family,
        (1 + count(*) FILTER (WHERE abs(m.mean) >= abs(c.effect))) / (1 + count(*)) AS p_value
    FROM compared AS c
    JOIN control_means AS m ON m.series = c.change_id
    WHERE c.decided
    GROUP BY c.change_id, family
)
SELECT
    c.change_id, c.intervention_id, c.label, c.layer, c.head, c.side, c.dest_role, c.src_role,
    c.up_layer, c.up_head, c.scope, c.kind, c.strength, c.n_prompts, c.n_pairs,
    c.effect, c.effect_low, c.effect_high,
    c.effect / nullif(c.logit_diff, 0) AS effect_share,
    c.score_effect, c.weight_effect, c.rank_effect,
    c.random_effect, c.random_low, c.random_high, c.n_random,
    CASE
        WHEN c.decided
        THEN c.effect_high < least(c.random_low, 0) OR c.effect_low > greatest(c.random_high, 0)
    END AS beyond,
    CASE WHEN beyond THEN (c.effect < 0) = (c.kind::VARCHAR = 'ablate') END AS helps,
    t.p_value, d.q_value
FROM compared AS c
LEFT JOIN tests AS t USING (change_id)
LEFT JOIN false_discovery('tests') AS d USING (change_id);
