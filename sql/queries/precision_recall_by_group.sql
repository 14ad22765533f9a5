-- purpose: precision and recall of the circuit of each template or order of names
-- params: by VARCHAR{template,pattern} groups of prompts: by template or by order of names [= template]
--         reference VARCHAR only this reference [= null]
--         count VARCHAR the count that thresholds apply to [= trace.count]
--         min_share DOUBLE smallest count of a shown edge as a share of the group's prompts [= trace.min_share]
--         min_count BIGINT smallest count over all prompts; its share overrides min_share [= trace.min_count]
-- grain: [reference, group]
-- columns: reference, prompt_group, n_in_group, n_edges, n_heads, tp, precision, recall, recall_reachable, f1
-- The circuit of a group has the edges in the chosen share of its prompts, and the run's roots.
WITH by_prompt AS (
    FROM edge_prompts('trace_edges')
),
prompts_grouped AS (
    FROM prompt_groups($by)
),
shown AS MATERIALIZED (
    FROM grouped_graph('by_prompt', 'prompts_grouped', $count, shown_share($min_share, $min_count))
    WHERE shown
),
groups AS (
    SELECT
        g.prompt_group, g.n_in_group,
        (SELECT count(*) FROM shown AS s WHERE s.prompt_group = g.prompt_group) AS n_edges
    FROM (SELECT DISTINCT prompt_group, n_in_group FROM prompts_grouped) AS g
),
circuit AS (
    SELECT prompt_group AS head_set, layer, head FROM shown
    UNION
    SELECT prompt_group, up_layer, up_head FROM shown WHERE component = 'head'
    UNION
    SELECT g.prompt_group, t.root_layer, t.root_head FROM groups AS g, trace_pairs AS t
),
known AS (
    FROM reference_heads WHERE reference = coalesce($reference::VARCHAR, reference)
)
SELECT
    c.reference, g.prompt_group, g.n_in_group, g.n_edges, c.n_heads, c.tp, c.precision, c.recall,
    c.recall_reachable, c.f1
FROM groups AS g
JOIN against_references('circuit', 'known') AS c ON c.head_set = g.prompt_group
ORDER BY c.reference, g.prompt_group;
