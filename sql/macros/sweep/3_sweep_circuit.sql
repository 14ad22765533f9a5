-- sweep_circuit: the heads of each job's circuit: the heads of its shown edges, and its roots
-- grain: [job, head]
-- `shown_table` names rows of sweep_shown, `pairs_table` a relation like trace_pairs with the column job.
CREATE OR REPLACE TEMP MACRO sweep_circuit(shown_table, pairs_table) AS TABLE
SELECT job, down AS head FROM query_table(shown_table)
UNION
SELECT job, up FROM query_table(shown_table) WHERE component = 'head'
UNION
SELECT job, {layer: root_layer, head: root_head} FROM query_table(pairs_table);
