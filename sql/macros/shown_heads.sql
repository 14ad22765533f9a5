-- shown_heads: the heads of a circuit: heads of its shown edges, roots, and imported heads without an edge
-- grain: [head]
-- `edges_table` names rows of frequent_edges, `run_table` and `heads_table` relations like run and imported_heads. `n`
-- is the largest count of a head's edges, null without an edge; `n_in` and `n_out` are numbers of edges.
CREATE OR REPLACE TEMP MACRO shown_heads(edges_table, run_table, heads_table) AS TABLE
WITH ends AS (
    SELECT layer, head, n, 1 AS edge_in, 0 AS edge_out, false AS root FROM query_table(edges_table)
    UNION ALL
    SELECT up_layer, up_head, n, 0, 1, false FROM query_table(edges_table) WHERE component = 'head'
    UNION ALL
    SELECT layer, head, NULL, 0, 0, true FROM root_heads(run_table)
    UNION ALL
    SELECT layer, head, NULL, 0, 0, false FROM query_table(heads_table)
)
SELECT
    layer, head, bool_or(root) AS is_root, max(n) AS n,
    sum(edge_in)::BIGINT AS n_in, sum(edge_out)::BIGINT AS n_out
FROM ends
GROUP BY layer, head;
