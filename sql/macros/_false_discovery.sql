-- false_discovery: q-values of p-values by Benjamini and Hochberg
-- grain: [row with a p-value]
-- `tests_table` names a relation with change_id, family and p_value; the tests of a family are corrected together. A
-- q-value is the smallest false discovery rate at which its test is significant: the minimum of p * n / rank over the
-- tests from its rank on.
CREATE OR REPLACE TEMP MACRO false_discovery(tests_table) AS TABLE
WITH ranked AS (
    SELECT
        change_id, family, p_value,
        row_number() OVER (PARTITION BY family ORDER BY p_value, change_id) AS place,
        count(*) OVER (PARTITION BY family) AS n
    FROM query_table(tests_table)
    WHERE p_value IS NOT NULL
)
SELECT
    change_id,
    min(least(p_value * n / place, 1)) OVER (
        PARTITION BY family ORDER BY place DESC ROWS UNBOUNDED PRECEDING
    ) AS q_value
FROM ranked;
