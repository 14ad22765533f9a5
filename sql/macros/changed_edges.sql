-- changed_edges: `changed` for single edges, with their weight in the trace
-- grain: [edge, scope, kind, strength]
-- The weight is the mean contribution (equation 8, over the signal slices) to the pairs that were changed.
CREATE OR REPLACE TEMP MACRO changed_edges(
    interventions_table, effects_table, scope_rule, kind_rule, n_draws, draw_seed, least_prompts := 6
) AS TABLE
WITH edges AS (
    FROM changed(
        interventions_table, effects_table, false, scope_rule, kind_rule, n_draws, draw_seed,
        least_prompts := least_prompts
    )
),
weights AS (
    SELECT
        i.intervention_id,
        sum(u.contribution::DOUBLE ORDER BY e.pair_id) / count(*) AS weight
    FROM query_table(interventions_table) AS i
    JOIN query_table(effects_table) AS e USING (intervention_id)
    JOIN upstream AS u
        ON u.pair_id = e.pair_id AND u.side::VARCHAR = i.side::VARCHAR
        AND u.up_layer = i.up_layer AND u.up_head = i.up_head
    WHERE i.control = 'signal' AND u.component = 'head'
        AND (scope_rule = 'any' OR i.scope::VARCHAR = scope_rule)
        AND (kind_rule = 'any' OR i.kind::VARCHAR = kind_rule)
    GROUP BY i.intervention_id
)
SELECT e.*, w.weight
FROM edges AS e
LEFT JOIN weights AS w USING (intervention_id);
