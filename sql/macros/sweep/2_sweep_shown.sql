-- sweep_shown: the shown edges of the jobs of a sweep, with the share of the prompts that have them
-- grain: [job, upstream, downstream, side, token role]
-- `settings_table` names rows of sweep_settings, `graph_table` a relation like graph_edges with the column job. `up`
-- and `down` are structs of layer and head.
CREATE OR REPLACE TEMP MACRO sweep_shown(settings_table, graph_table) AS TABLE
SELECT
    g.job, {layer: g.up_layer, head: g.up_head} AS up, {layer: g.layer, head: g.head} AS down,
    g.component::VARCHAR AS component, g.side::VARCHAR AS side, g.role, g.n_prompts / s.n_all AS share
FROM query_table(graph_table) AS g
JOIN query_table(settings_table) AS s USING (job)
WHERE s.shown_from <= CASE s.kind
    WHEN 'prompts' THEN g.n_prompts WHEN 'firings' THEN g.n_firings ELSE g.n_visits
END;
