-- Step 5 of svt.query.trace: the edges, counted over prompts
INSERT INTO results.graph_edges BY NAME
FROM graph('results.trace_edges')
ORDER BY layer, head, side, role, component, up_layer, up_head;
