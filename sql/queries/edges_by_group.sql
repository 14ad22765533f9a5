-- purpose: the edges of the graph counted over the prompts of each template, or of each order of the names, alone
-- params: by VARCHAR{template,pattern} what the prompts are grouped by: their template, or ABBA and BABA [= template]
--         count VARCHAR what is counted [= trace.count]
--         min_share DOUBLE least count as a share of the group's prompts [= trace.min_share]
--         min_count BIGINT least count over all prompts; its share goes before min_share [= trace.min_count]
-- grain: [group, upstream, downstream, side, token role], for every edge that some group shows
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
