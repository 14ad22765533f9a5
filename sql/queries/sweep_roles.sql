-- purpose: the heads that have each role in the circuit of each job of a sweep
-- params: min_share DOUBLE smallest share of the prompts in which a head has a role [= 0.25]
-- grain: [role, job]
-- columns: head_role, job, n_heads, heads
-- A role is a pair of token roles between which heads fire in the trace, such as end->IO. A head without such a role
-- has that of the token that it most often writes from, such as at S2. A head can have many roles; `heads` lists them
-- as layer.head. Every job has a row for every role.
WITH settings AS (
    FROM sweep_settings('run')
),
shown AS (
    FROM sweep_shown('settings', 'graph_edges') WHERE component = 'head'
),
circuit AS (
    FROM sweep_circuit('shown', 'trace_pairs')
),
profiles AS (
    FROM sweep_profiles('settings', 'shown', 'graph_firings')
),
playing AS (
    SELECT p.job, p.head, p.feature
    FROM profiles AS p
    SEMI JOIN circuit AS c USING (job, head)
    QUALIFY contains(p.feature, '->') AND p.share >= $min_share
        OR row_number() OVER (
            PARTITION BY p.job, p.head
            ORDER BY p.share >= $min_share AND contains(p.feature, '->') DESC, p.share DESC, p.feature DESC
        ) = 1
),
named AS (
    SELECT
        feature AS head_role, job, count(*) AS n_heads,
        string_agg(concat(head.layer, '.', head.head), ' ' ORDER BY head) AS heads
    FROM playing
    GROUP BY feature, job
)
SELECT
    r.head_role, s.job, coalesce(n.n_heads, 0) AS n_heads, coalesce(n.heads, '') AS heads
FROM (SELECT head_role, sum(n_heads) AS n_all_jobs FROM named GROUP BY head_role) AS r
CROSS JOIN settings AS s
LEFT JOIN named AS n ON n.head_role = r.head_role AND n.job = s.job
ORDER BY contains(r.head_role, '->') DESC, r.n_all_jobs DESC, r.head_role, s.job;
