-- purpose: what the shown graph omits: rare edges, edges to tokens without a role, weak pairs
-- params: count VARCHAR the count that thresholds apply to [= trace.count]
--         min_share DOUBLE smallest count of a shown edge as a share of the prompts [= trace.min_share]
--         min_count BIGINT smallest count of a shown edge; overrides min_share [= trace.min_count]
-- grain: [1]
-- columns: rare_edges, trace_edges, trace_edges_without_role, min_weight
-- `rare_edges` is the number of edges of graph_edges below the threshold. `trace_edges` and `trace_edges_without_role`
-- count an edge once for each pair, over all roots. Pairs below `min_weight` (dump.min_weight) are not in the store.
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
