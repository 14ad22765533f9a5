-- Step 4 of svt.stages.intervene: the rows of all units, in the order of the interventions
INSERT INTO results.intervention_effects BY NAME
SELECT * FROM finished
ORDER BY intervention_id, prompt_id, pair_id;
