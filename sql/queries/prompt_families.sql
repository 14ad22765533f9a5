-- purpose: families of prompts with similar traces, and whether templates or orders of names explain them
-- params: least_agreement DOUBLE smallest adjusted Rand index at which a grouping explains the families [= 0.5]
-- grain: [family]
-- columns: family, n_prompts, silhouette, template, template_share, pattern, pattern_share, rand_template,
--          rand_pattern, goes_by
-- `silhouette` is the mean over the family's prompts. `template` and `pattern` are the most frequent values in the
-- family, with their shares. The adjusted Rand index compares families with groups: 1 for identical partitions, 0 for
-- chance agreement, null where there is only one family and one group. `goes_by` is template, pattern or neither.
WITH members AS (
    SELECT f.*, p.template, p.pattern FROM families AS f JOIN prompts AS p USING (prompt_id)
),
groups AS (
    SELECT prompt_id, family, 'template' AS kind, template AS prompt_group FROM members
    UNION ALL
    SELECT prompt_id, family, 'pattern', pattern FROM members
),
known AS (
    FROM groups WHERE prompt_group IS NOT NULL
),
counts AS (
    SELECT kind, family, prompt_group, count(*) AS n FROM known GROUP BY ALL
),
pairs_of AS (
    SELECT
        kind,
        (SELECT sum(n * (n - 1) / 2) FROM counts WHERE kind = k.kind) AS same_both,
        (
            SELECT sum(n * (n - 1) / 2)
            FROM (SELECT sum(n) AS n FROM counts WHERE kind = k.kind GROUP BY family)
        ) AS same_family,
        (
            SELECT sum(n * (n - 1) / 2)
            FROM (SELECT sum(n) AS n FROM counts WHERE kind = k.kind GROUP BY prompt_group)
        ) AS same_group,
        (SELECT sum(n) * (sum(n) - 1) / 2 FROM counts WHERE kind = k.kind) AS every
    FROM (SELECT DISTINCT kind FROM counts) AS k
),
agreement AS (
    SELECT
        kind,
        (same_both - same_family * same_group / every)
        / nullif((same_family + same_group) / 2 - same_family * same_group / every, 0) AS rand
    FROM pairs_of
),
both_rands AS (
    SELECT
        max(rand) FILTER (WHERE kind = 'template') AS rand_template,
        max(rand) FILTER (WHERE kind = 'pattern') AS rand_pattern
    FROM agreement
),
mostly AS (
    SELECT kind, family, arg_max(prompt_group, {n: n, prompt_group: prompt_group}) AS prompt_group, max(n) AS n
    FROM counts
    GROUP BY kind, family
)
SELECT
    m.family,
    count(*) AS n_prompts,
    avg(m.silhouette ORDER BY m.place) AS silhouette,
    any_value(t.prompt_group) AS template,
    any_value(t.n) / count(*) AS template_share,
    any_value(o.prompt_group) AS pattern,
    any_value(o.n) / count(*) AS pattern_share,
    any_value(r.rand_template) AS rand_template,
    any_value(r.rand_pattern) AS rand_pattern,
    CASE
        WHEN (SELECT max(family) FROM families) = 1 THEN 'one family'
        WHEN greatest(coalesce(any_value(r.rand_template), 0), coalesce(any_value(r.rand_pattern), 0))
            < $least_agreement THEN 'neither'
        WHEN coalesce(any_value(r.rand_template), 0) >= coalesce(any_value(r.rand_pattern), 0) THEN 'template'
        ELSE 'pattern'
    END AS goes_by
FROM members AS m
CROSS JOIN both_rands AS r
LEFT JOIN mostly AS t ON t.kind = 'template' AND t.family = m.family
LEFT JOIN mostly AS o ON o.kind = 'pattern' AND o.family = m.family
GROUP BY m.family
ORDER BY m.family;
