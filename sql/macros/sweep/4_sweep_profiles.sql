-- sweep_profiles: roles of each head: the token roles between which it fires in the trace and from which it has edges
-- grain: [job, head, feature]; a feature is such as end->IO, or at S2; `share` is that of the job's prompts
-- `settings_table` and `shown_table` name rows of sweep_settings and sweep_shown, `firings_table` a relation like
-- graph_firings with the column job.
CREATE OR REPLACE TEMP MACRO sweep_profiles(settings_table, shown_table, firings_table) AS TABLE
SELECT
    f.job, {layer: f.layer, head: f.head} AS head,
    concat(coalesce(f.dest_role, 'other'), '->', coalesce(f.src_role, 'other')) AS feature,
    f.n_prompts / s.n_all AS share
FROM query_table(firings_table) AS f
JOIN query_table(settings_table) AS s USING (job)
UNION ALL
SELECT job, up, concat('at ', role), max(share)
FROM query_table(shown_table)
WHERE component = 'head'
GROUP BY job, up, role;
