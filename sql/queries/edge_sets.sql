-- purpose: sets of shown edges to change together: parallel, serial and outgoing
-- params: count VARCHAR the count that thresholds apply to [= trace.count]
--         min_share DOUBLE smallest count of a shown edge as a share of the prompts [= trace.min_share]
--         min_count BIGINT smallest count of a shown edge; overrides min_share [= trace.min_count]
--         n INTEGER sets of each arrangement, by descending total [= 4]
-- grain: [set, edge]
-- columns: set, layer, head, side, dest_role, src_role, up_layer, up_head, role
-- Parallel: all edges into one token of a head. Serial: an edge into the dest token of a head, and an edge that the
-- head writes from there. Outgoing: all edges from one head. A set has at least two edges.
WITH shown AS (
    SELECT
        up_layer, up_head, layer, head, side::VARCHAR AS side, role, total,
        concat(up_layer, '.', up_head) AS up_name,
        concat(layer, '.', head) AS name
    FROM graph_edges
    WHERE component = 'head'
        AND count_of($count, n_prompts, n_firings, n_visits) >= shown_count($min_share, $min_count)
),
chains AS (
    SELECT
        concat('serial: ', a.up_name, ' -> ', a.name, ' -> ', b.name, ' ', b.side, ' ', b.role) AS set,
        a, b
    FROM shown AS a
    JOIN shown AS b
        ON b.up_layer = a.layer AND b.up_head = a.head AND b.role = a.role
    WHERE a.side = 'dest'
),
members AS (
    SELECT
        'parallel' AS arrangement,
        concat('parallel: into ', name, ' ', side, ' ', role) AS set,
        shown AS edge
    FROM shown
    UNION ALL
    SELECT 'serial', set, a FROM chains
    UNION ALL
    SELECT 'serial', set, b FROM chains
    UNION ALL
    SELECT 'outgoing', concat('outgoing: ', up_name), shown FROM shown
),
chosen AS (
    SELECT
        arrangement, set,
        row_number() OVER (
            PARTITION BY arrangement
            ORDER BY sum(edge.total ORDER BY edge.total) DESC, set
        ) AS place
    FROM members
    GROUP BY arrangement, set
    HAVING count(*) >= 2
    QUALIFY place <= $n
)
SELECT
    set, m.edge.layer, m.edge.head, m.edge.side,
    CASE m.edge.side WHEN 'dest' THEN m.edge.role END AS dest_role,
    CASE m.edge.side WHEN 'src' THEN m.edge.role END AS src_role,
    m.edge.up_layer, m.edge.up_head, m.edge.role
FROM chosen AS c
JOIN members AS m USING (arrangement, set)
ORDER BY
    list_position(['parallel', 'serial', 'outgoing'], arrangement), c.place,
    m.edge.total DESC, m.edge.layer, m.edge.head, m.edge.side, m.edge.role, m.edge.up_layer,
    m.edge.up_head;
