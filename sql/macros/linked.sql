-- linked: the edges of a graph with the most frequent roles of their firings' two tokens
-- grain: [upstream, downstream, side, token role]
-- `graph_table` names a relation with the columns of graph_edges, `edges_table` the trace_edges that it counts. One of
-- the two roles is the edge's own. The other is the most frequent role of the firings' other token, the first by name
-- among equals; null, with n_between 0, where that token never has a role.
CREATE OR REPLACE TEMP MACRO linked(graph_table, edges_table) AS TABLE
WITH between_roles AS (
    SELECT
        e.up_layer, e.up_head, e.component, e.layer, e.head, e.side, r.role, o.role AS other_role,
        count(DISTINCT e.pair_id) AS n_between
    FROM query_table(edges_table) AS e
    JOIN places AS r
        ON r.prompt_id = e.prompt_id AND r.pos = CASE e.side WHEN 'dest' THEN e.dest ELSE e.src END
    JOIN places AS o
        ON o.prompt_id = e.prompt_id AND o.pos = CASE e.side WHEN 'dest' THEN e.src ELSE e.dest END
    GROUP BY ALL
),
mostly AS (
    FROM between_roles
    QUALIFY row_number() OVER (
        PARTITION BY up_layer, up_head, component, layer, head, side, role
        ORDER BY n_between DESC, other_role
    ) = 1
)
SELECT
    g.*,
    CASE g.side WHEN 'dest' THEN g.role ELSE m.other_role END AS dest_role,
    CASE g.side WHEN 'src' THEN g.role ELSE m.other_role END AS src_role,
    coalesce(m.n_between, 0) AS n_between
FROM query_table(graph_table) AS g
LEFT JOIN mostly AS m
    ON m.layer = g.layer AND m.head = g.head AND m.side = g.side AND m.role = g.role
    AND m.component = g.component
    AND m.up_layer IS NOT DISTINCT FROM g.up_layer AND m.up_head IS NOT DISTINCT FROM g.up_head;
