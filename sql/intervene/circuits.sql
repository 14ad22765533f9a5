-- Step 1 of svt.stages.faithfulness: the heads of the circuit at every threshold that changes it
-- grain: [threshold]: min_count, and heads as a list of [layer, head]
SELECT min_count, list([layer, head] ORDER BY layer, head) AS heads
FROM circuits(
    'results.graph_edges',
    (SELECT list(DISTINCT [root_layer, root_head]) FROM results.trace_pairs)
)
WHERE kind = $count
GROUP BY min_count
ORDER BY min_count;
