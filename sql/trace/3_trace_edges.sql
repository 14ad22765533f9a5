-- Step 4 of svt.query.trace: the significant edges of these pairs
INSERT INTO results.trace_edges BY NAME
SELECT
    root_layer, root_head, prompt_id, pair_id, layer, head, dest, src, side,
    up_layer, up_head, component, contribution, effect, visits
FROM traced
WHERE side IS NOT NULL
ORDER BY root_layer, root_head, pair_id, side, component, up_layer, up_head;
