-- sweep_matched: the heads of two jobs' circuits, matched one to one by the similarity of their profiles
-- grain: [pair of jobs, head of both]
-- `circuit_table` and `profiles_table` name rows of sweep_circuit and sweep_profiles. `similarity` is the sum of the
-- smaller over the sum of the larger shares of two profiles. The most similar heads are matched first, then the most
-- similar of the rest; ties are resolved by the smaller head.
CREATE OR REPLACE TEMP MACRO sweep_matched(circuit_table, profiles_table) AS TABLE
WITH RECURSIVE sizes AS (
    SELECT c.job, c.head, coalesce(sum(p.share ORDER BY p.feature), 0) AS size
    FROM query_table(circuit_table) AS c
    LEFT JOIN query_table(profiles_table) AS p USING (job, head)
    GROUP BY c.job, c.head
),
common AS (
    SELECT
        a.job AS job_a, b.job AS job_b, a.head AS head_a, b.head AS head_b,
        sum(least(a.share, b.share) ORDER BY a.feature) AS size
    FROM query_table(profiles_table) AS a
    JOIN query_table(profiles_table) AS b ON b.job > a.job AND b.feature = a.feature
    GROUP BY a.job, b.job, a.head, b.head
),
candidates AS MATERIALIZED (
    SELECT
        c.job_a, c.job_b, c.head_a, c.head_b, c.size / (a.size + b.size - c.size) AS similarity,
        row_number() OVER (
            PARTITION BY c.job_a, c.job_b ORDER BY similarity DESC, c.head_a, c.head_b
        ) AS place
    FROM common AS c
    JOIN sizes AS a ON a.job = c.job_a AND a.head = c.head_a
    JOIN sizes AS b ON b.job = c.job_b AND b.head = c.head_b
),
choices AS (
    SELECT
        job_a, job_b, 0 AS place,
        CAST([] AS STRUCT(layer UTINYINT, head UTINYINT)[]) AS taken_a,
        CAST([] AS STRUCT(layer UTINYINT, head UTINYINT)[]) AS taken_b
    FROM (SELECT DISTINCT job_a, job_b FROM candidates)
    UNION ALL
    SELECT
        m.job_a, m.job_b, min(c.place),
        list_append(any_value(m.taken_a), arg_min(c.head_a, c.place)),
        list_append(any_value(m.taken_b), arg_min(c.head_b, c.place))
    FROM choices AS m
    JOIN candidates AS c ON c.job_a = m.job_a AND c.job_b = m.job_b AND c.place > m.place
    WHERE NOT list_contains(m.taken_a, c.head_a) AND NOT list_contains(m.taken_b, c.head_b)
    GROUP BY m.job_a, m.job_b
)
SELECT c.job_a, c.job_b, c.head_a, c.head_b, c.similarity
FROM candidates AS c
SEMI JOIN choices USING (job_a, job_b, place);
