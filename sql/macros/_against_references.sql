-- against_references: precision, recall and f1 of head sets against references
-- grain: [reference, head set]
-- `sets_table` names a relation with the columns head_set (any key of the set), layer and head; a row with null layer
-- and head is a set without heads. `reference_table` names a relation like reference_heads.
CREATE OR REPLACE TEMP MACRO against_references(sets_table, reference_table) AS TABLE
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
        r.reference, s.head_set, r.n_reference, r.n_reachable,
        count(s.layer) AS n_heads,
        count(h.layer) AS tp,
        count(h.layer) FILTER (WHERE h.reachable) AS tp_reachable
    FROM reference_sizes AS r
    CROSS JOIN query_table(sets_table) AS s
    LEFT JOIN query_table(reference_table) AS h
        ON h.reference = r.reference AND h.layer = s.layer AND h.head = s.head
    GROUP BY ALL
)
SELECT
    *,
    tp / nullif(n_heads, 0) AS precision,
    tp / nullif(n_reference, 0) AS recall,
    tp_reachable / nullif(n_reachable, 0) AS recall_reachable,
    2 * tp / nullif(n_heads + n_reference, 0) AS f1
FROM counted;
