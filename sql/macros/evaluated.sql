-- evaluated: a circuit against references at every threshold that changes it, for the three counts
-- grain: [reference, count kind, min_count]
-- The thresholds and heads are those of the macro circuits; `reference_table` names a relation like reference_heads.
CREATE OR REPLACE TEMP MACRO evaluated(graph_table, roots, reference_table) AS TABLE
WITH head_sets AS (
    SELECT {kind: kind, min_count: min_count} AS head_set, layer, head
    FROM circuits(graph_table, roots)
)
SELECT
    reference, head_set.kind AS count, head_set.min_count AS min_count, n_heads, tp, precision, recall,
    recall_reachable, f1
FROM against_references('head_sets', reference_table);
