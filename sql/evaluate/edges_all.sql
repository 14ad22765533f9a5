-- Step 3 of svt.query.evaluate: all edges of the graph
CREATE OR REPLACE TEMP TABLE circuit_edges AS FROM results.graph_edges;
