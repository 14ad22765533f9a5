-- Step 3 of svt.query.evaluate: the edges of the graph that match a row of `validated`, whose null roles match any
CREATE OR REPLACE TEMP TABLE circuit_edges AS
SELECT g.*
FROM results.graph_edges AS g
SEMI JOIN validated AS v
    ON v.layer = g.layer AND v.head = g.head AND v.side = g.side::VARCHAR
    AND v.up_layer = g.up_layer AND v.up_head = g.up_head
    AND g.role = coalesce(CASE g.side WHEN 'dest' THEN v.dest_role ELSE v.src_role END, g.role)
WHERE g.component = 'head';
