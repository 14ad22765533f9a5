-- grouped_graph: the edges of the trace, counted over the prompts of each group
-- grain: [group, upstream, downstream, side, token role]; an edge of any group has a row in every group
-- `edge_prompts_table` names a relation like edge_prompts, `groups_table` one like prompt_groups. An edge is `shown` in
-- a group if it has the share `shown_share` of the group's prompts.
CREATE OR REPLACE TEMP MACRO grouped_graph(
    edge_prompts_table, groups_table, count_rule, shown_share
) AS TABLE
WITH groups AS (
    SELECT
        prompt_group, n_in_group,
        greatest(ceil(shown_share * n_in_group - 1e-9), 1)::BIGINT AS shown_from
    FROM query_table(groups_table)
    GROUP BY prompt_group, n_in_group
),
edges AS (
    SELECT DISTINCT up_layer, up_head, component, layer, head, side, role
    FROM query_table(edge_prompts_table)
),
counted AS (
    SELECT
        g.prompt_group, e.up_layer, e.up_head, e.component, e.layer, e.head, e.side, e.role,
        count(*) AS n_prompts,
        sum(e.n_firings)::BIGINT AS n_firings,
        least(sum(e.n_visits), 9000000000000000000)::BIGINT AS n_visits
    FROM query_table(edge_prompts_table) AS e
    JOIN query_table(groups_table) AS g USING (prompt_id)
    GROUP BY ALL
)
SELECT
    g.prompt_group, g.n_in_group, e.up_layer, e.up_head, e.component, e.layer, e.head, e.side, e.role,
    coalesce(c.n_prompts, 0) AS n_prompts,
    coalesce(c.n_firings, 0) AS n_firings,
    coalesce(c.n_visits, 0) AS n_visits,
    count_of(
        count_rule, coalesce(c.n_prompts, 0), coalesce(c.n_firings, 0), coalesce(c.n_visits, 0)
    ) >= g.shown_from AS shown
FROM groups AS g
CROSS JOIN edges AS e
LEFT JOIN counted AS c
    ON c.prompt_group = g.prompt_group AND c.component = e.component
    AND c.up_layer IS NOT DISTINCT FROM e.up_layer AND c.up_head IS NOT DISTINCT FROM e.up_head
    AND c.layer = e.layer AND c.head = e.head AND c.side = e.side AND c.role = e.role;
