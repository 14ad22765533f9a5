-- frequent_edges: the edges of a circuit with at least a count, which is the column `n`
-- grain: [upstream, downstream, side, token role]
-- `graph_table` and `run_table` name relations like graph_edges and run; `least` is the smallest count and overrides
-- `share`, a share of the run's prompts.
CREATE OR REPLACE TEMP MACRO frequent_edges(graph_table, run_table, kind, share, least) AS TABLE
SELECT
    up_layer, up_head, component::VARCHAR AS component, layer, head, side::VARCHAR AS side, role,
    count_of(kind, n_prompts, n_firings, n_visits) AS n, total, mean
FROM query_table(graph_table)
WHERE count_of(kind, n_prompts, n_firings, n_visits) >= coalesce(
    least::BIGINT,
    greatest(ceil(share * (SELECT any_value(n_prompts) FROM query_table(run_table)) - 1e-9), 1)::BIGINT
);
