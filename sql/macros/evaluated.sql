-- evaluated: a circuit against references at every threshold that changes it, for the three counts
-- grain: [reference, count kind, min_count]
-- The thresholds and heads are those of the macro circuits; `reference_table` names a relation like reference_heads.
CREATE OR REPLACE TEMP MACRO evaluated(graph_table, roots, reference_table) AS TABLE
WITH reference_sizes AS (
    SELECT
        reference,
        count(*) AS n_reference,
        count(*) FILTER (WHERE reachable) AS n_reachable
    FROM query_table(reference_table)
    GROUP BY reference
),
counted AS (
    SELECT
        s.reference, c.kind, c.min_count, s.n_reference, s.n_reachable,
        count(c.layer) AS n_heads,
        count(h.layer) AS tp,
        count(h.layer) FILTER (WHERE h.reachable) AS tp_reachable
    FROM reference_sizes AS s
    CROSS JOIN circuits(graph_table, roots) AS c
    LEFT JOIN query_table(reference_table) AS h
        ON h.reference = s.reference AND h.layer = c.layer AND h.head = c.head
    GROUP BY ALL
)
SELECT
    reference, kind AS count, min_count, n_heads, tp,
    tp / nullif(n_heads, 0) AS precision,
    tp / nullif(n_reference, 0) AS recall,
    tp_reachable / nullif(n_reachable, 0) AS recall_reachable,
    2 * tp / nullif(n_heads + n_reference, 0) AS f1
FROM counted;
