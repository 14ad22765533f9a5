-- root_heads: the roots of a run
-- grain: [head]
-- `run_table` names a relation like run.
CREATE OR REPLACE TEMP MACRO root_heads(run_table) AS TABLE
SELECT DISTINCT root[1] AS layer, root[2] AS head
FROM (SELECT unnest(roots::INTEGER[][]) AS root FROM query_table(run_table));
