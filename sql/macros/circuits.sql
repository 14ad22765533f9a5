-- circuits: the heads of the circuit at every threshold that changes it, for the three counts
-- grain: [count kind, min_count, head]; a circuit without heads has one row, layer and head null
-- `graph_table` names a relation like graph_edges; `roots` is a list of [layer, head]. A head is in the circuit at
-- min_count if one of its edges has that count; roots always are. Each distinct largest count of a head is therefore a
-- threshold, and one above all of them leaves only the roots. A threshold between two rows has the circuit of the
-- larger one. A count that is unknown in an imported circuit has no row.
CREATE OR REPLACE TEMP MACRO circuits(graph_table, roots) AS TABLE
WITH root_heads AS (
    SELECT DISTINCT root[1] AS layer, root[2] AS head FROM (SELECT unnest(roots) AS root)
),
ends AS (
    SELECT layer, head, n_prompts, n_firings, n_visits FROM query_table(graph_table)
    UNION ALL
    SELECT up_layer, up_head, n_prompts, n_firings, n_visits FROM query_table(graph_table)
    WHERE component = 'head'
),
kinds AS (
    SELECT kind
    FROM (SELECT unnest(['prompts', 'firings', 'visits']) AS kind) AS k
    WHERE NOT EXISTS (
        FROM ends WHERE count_of(k.kind, n_prompts, n_firings, n_visits) IS NULL
    )
),
best_counts AS (
    SELECT
        kind, layer, head,
        max(count_of(kind, n_prompts, n_firings, n_visits)) AS best
    FROM ends, kinds
    GROUP BY ALL
),
thresholds AS (
    SELECT DISTINCT kind, best AS min_count FROM best_counts ANTI JOIN root_heads USING (layer, head)
    UNION ALL
    SELECT k.kind, coalesce(max(b.best), 0) + 1 FROM kinds AS k LEFT JOIN best_counts AS b USING (kind)
    GROUP BY k.kind
),
circuit AS (
    SELECT t.kind, t.min_count, b.layer, b.head
    FROM thresholds AS t
    JOIN best_counts AS b ON b.kind = t.kind AND b.best >= t.min_count
    UNION
    SELECT t.kind, t.min_count, r.layer, r.head FROM thresholds AS t, root_heads AS r
)
SELECT t.kind, t.min_count, c.layer, c.head
FROM thresholds AS t
LEFT JOIN circuit AS c ON c.kind = t.kind AND c.min_count = t.min_count;
