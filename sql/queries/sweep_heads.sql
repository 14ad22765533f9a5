-- purpose: heads of two jobs of a sweep, matched one to one by the roles that they have in the circuits
-- params: none
-- grain: [pair of jobs, head of either]; a head without a match has null in the columns of the other
-- columns: job_a, job_b, layer_a, head_a, layer_b, head_b, similarity, role_a, role_b
-- A head's profile holds the share of the prompts in which it fires between each pair of token roles in the trace
-- (graph_firings), and the share in which it has an edge from each token role. `similarity` of two profiles is the sum
-- of the smaller over the sum of the larger shares. The most similar heads are matched first, then the most similar of
-- the rest. `role_a` and `role_b` are the largest entries of the profiles, firings in at least a quarter of the prompts
-- first.
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
matched AS MATERIALIZED (
    FROM sweep_matched('circuit', 'profiles')
),
rows AS (
    SELECT job_a, job_b, head_a, head_b, similarity FROM matched
    UNION ALL
    SELECT a.job, b.job, a.head, NULL, NULL
    FROM circuit AS a
    JOIN settings AS b ON b.job > a.job
    ANTI JOIN matched AS m ON m.job_a = a.job AND m.job_b = b.job AND m.head_a = a.head
    UNION ALL
    SELECT a.job, b.job, NULL, b.head, NULL
    FROM circuit AS b
    JOIN settings AS a ON b.job > a.job
    ANTI JOIN matched AS m ON m.job_a = a.job AND m.job_b = b.job AND m.head_b = b.head
),
main_roles AS (
    SELECT job, head, feature
    FROM profiles
    QUALIFY row_number() OVER (
        PARTITION BY job, head
        ORDER BY share >= 0.25 AND contains(feature, '->') DESC, share DESC, feature DESC
    ) = 1
)
SELECT
    r.job_a, r.job_b, r.head_a.layer AS layer_a, r.head_a.head AS head_a,
    r.head_b.layer AS layer_b, r.head_b.head AS head_b, r.similarity,
    a.feature AS role_a, b.feature AS role_b
FROM rows AS r
LEFT JOIN main_roles AS a ON a.job = r.job_a AND a.head = r.head_a
LEFT JOIN main_roles AS b ON b.job = r.job_b AND b.head = r.head_b
ORDER BY r.job_a, r.job_b, r.similarity DESC NULLS LAST, r.head_a NULLS LAST, r.head_b;
