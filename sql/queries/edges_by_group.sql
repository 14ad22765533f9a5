-- purpose: the edges of the graph, counted over the prompts of each template or order of names
-- params: by VARCHAR{template,pattern} groups of prompts: by template or by order of names [= template]
--         count VARCHAR the count that thresholds apply to [= trace.count]
--         min_share DOUBLE smallest count of a shown edge as a share of the group's prompts [= trace.min_share]
--         min_count BIGINT smallest count over all prompts; its share overrides min_share [= trace.min_count]
-- grain: [group, upstream, downstream, side, token role], for every edge that any group shows
-- columns: prompt_group, n_in_group, up_layer, up_head, component, layer, head, side, role, n_prompts, share,
--          n_firings, n_visits, shown, shown_by
-- `share` is n_prompts / n_in_group; `shown_by` is the number of groups that show the edge.
WITH by_prompt AS (
    FROM edge_prompts('trace_edges')
),
prompts_grouped AS (
    FROM prompt_groups($by)
),
counted AS (
    SELECT
        *,
        count(*) FILTER (WHERE shown) OVER (
            PARTITION BY up_layer, up_head, component, layer, head, side, role
        ) AS shown_by
    FROM grouped_graph(
        'by_prompt', 'prompts_grouped', $count, shown_share($min_share, $min_count)
    )
)
SELECT
    prompt_group, n_in_group, up_layer, up_head, component, layer, head, side, role,
    n_prompts, n_prompts / n_in_group AS share, n_firings, n_visits, shown, shown_by
FROM counted
WHERE shown_by > 0
ORDER BY
    shown_by DESC, layer, head, side, role, component, up_layer, up_head, prompt_group;
