-- purpose: what the shown graph does not show: edges too rare, edges into tokens without a role, weak pairs
-- params: count VARCHAR what is counted [= trace.count]
--         min_share DOUBLE least count as a share of the prompts [= trace.min_share]
--         min_count BIGINT least count; goes before min_share [= trace.min_count]
-- grain: [1]
-- columns: rare_edges, trace_edges, trace_edges_without_role, min_weight
-- `rare_edges` are of graph_edges; `trace_edges` count a pair once, whichever roots reach it.
WITH distinct_edges AS (
    SELECT DISTINCT
        prompt_id, pair_id, side, component, up_layer, up_head,
        CASE side::VARCHAR WHEN 'dest' THEN dest ELSE src END AS pos
    FROM trace_edges
)
SELECT
    (
        SELECT count(*) FROM graph_edges
        WHERE count_of($count, n_prompts, n_firings, n_visits) < shown_count($min_share, $min_count)
    ) AS rare_edges,
    (SELECT count(*) FROM distinct_edges) AS trace_edges,
    (SELECT count(*) FROM distinct_edges ANTI JOIN places USING (prompt_id, pos))
        AS trace_edges_without_role,
    (SELECT (config->>'$.dump.min_weight')::DOUBLE FROM dump) AS min_weight;
