-- Step 4 of svt.stages.intervene: the planned interventions (relation `planned`), with their number of changed pairs
INSERT INTO results.interventions BY NAME
WITH changed AS (
    SELECT intervention_id, count(*) AS n_pairs
    FROM results.intervention_effects
    GROUP BY intervention_id
)
SELECT p.*, coalesce(c.n_pairs, 0) AS n_pairs
FROM planned AS p
LEFT JOIN changed AS c USING (intervention_id)
ORDER BY intervention_id;
