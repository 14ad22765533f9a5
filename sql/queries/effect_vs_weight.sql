-- purpose: Spearman's rank correlation of the weights of single edges with their effects
-- params: none
-- grain: [scope, kind, control, strength]
-- columns: scope, kind, control, strength, n_edges, spearman, spearman_size
-- `spearman` correlates the weight with the effect, `spearman_size` with its absolute value, both as in edge_effects,
-- with mean ranks for ties; null for fewer than two edges or when all values are equal.
WITH edges AS MATERIALIZED (
    FROM changed_edges('interventions', 'intervention_effects', 'any', 'any', 0, 0)
),
effects AS (
    SELECT scope, kind, 'signal' AS control, strength, weight, effect FROM edges
    UNION ALL
    SELECT scope, kind, 'random', strength, weight, random_effect FROM edges
),
ranked AS (
    SELECT
        scope, kind, control, strength,
        rank() OVER (every_edge ORDER BY weight)
            + count(*) OVER (PARTITION BY scope, kind, control, strength, weight) / 2 AS by_weight,
        rank() OVER (every_edge ORDER BY effect)
            + count(*) OVER (PARTITION BY scope, kind, control, strength, effect) / 2 AS by_effect,
        rank() OVER (every_edge ORDER BY abs(effect))
            + count(*) OVER (PARTITION BY scope, kind, control, strength, abs(effect)) / 2 AS by_size
    FROM effects
    WHERE weight IS NOT NULL AND effect IS NOT NULL
    WINDOW every_edge AS (PARTITION BY scope, kind, control, strength)
)
SELECT
    scope, kind, control, strength,
    count(*) AS n_edges,
    nullif(corr(by_weight, by_effect ORDER BY by_weight, by_effect), 'nan'::DOUBLE) AS spearman,
    nullif(corr(by_weight, by_size ORDER BY by_weight, by_size), 'nan'::DOUBLE) AS spearman_size
FROM ranked
GROUP BY scope, kind, control, strength
ORDER BY scope, kind, control DESC, strength;
