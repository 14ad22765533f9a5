-- Step 4 of svt.query.trace: the pairs that each root reaches
INSERT INTO results.trace_pairs BY NAME
SELECT DISTINCT root_layer, root_head, prompt_id, pair_id, depth, visits
FROM traced
ORDER BY root_layer, root_head, pair_id;
