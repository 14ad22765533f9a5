-- purpose: evaluation of the trace over signal slices and of the same trace over all slices, which needs no SVD
-- params: reference VARCHAR only this reference [= null]
--         count VARCHAR the count that thresholds apply to [= trace.count]
--         min_share DOUBLE smallest count of a shown edge as a share of the prompts [= trace.min_share]
--         min_count BIGINT smallest count of a shown edge; overrides min_share [= trace.min_count]
--         firing_weight DOUBLE smallest attention weight of a firing [= trace.firing_weight]
--         coverage DOUBLE share of the total that the significant components exceed [= trace.coverage]
--         nonpositive VARCHAR components that are significant where the total is not positive [= trace.nonpositive]
--         components VARCHAR upstream components: heads, or all in the store [= trace.components]
--         offset VARCHAR whether the constant of the bias coordinate is added to each head [= trace.offset]
--         root_dest VARCHAR role of the token that roots attend from [= trace.root_dest]
--         root_src VARCHAR role of the token that roots attend to, or any [= trace.root_src]
-- grain: [reference, slices]
-- columns: reference, slices, min_count, n_edges, n_heads, tp, precision, recall, recall_reachable, f1, best_f1
-- needs: dump.all_slices
-- Both traces start from the run's roots. `best_f1` is the largest f1 over all thresholds.
WITH root_list AS (
    SELECT list(DISTINCT [root_layer, root_head]) AS roots FROM trace_pairs
),
signal_edges AS (
    FROM traced_with(
        $root_dest, $root_src, $firing_weight, $coverage, 'signal', $nonpositive, $components, $offset
    )
),
all_edges AS (
    FROM traced_with(
        $root_dest, $root_src, $firing_weight, $coverage, 'all', $nonpositive, $components, $offset
    )
),
signal_graph AS MATERIALIZED (
    FROM graph('signal_edges')
),
all_graph AS MATERIALIZED (
    FROM graph('all_edges')
),
evaluations AS (
    SELECT 'signal' AS slices, *
    FROM evaluated('signal_graph', (SELECT roots FROM root_list), 'reference_heads')
    UNION ALL
    SELECT 'all', *
    FROM evaluated('all_graph', (SELECT roots FROM root_list), 'reference_heads')
),
chosen AS (
    SELECT *, shown_count($min_share, $min_count) AS shown_from
    FROM evaluations
    WHERE count = $count AND reference = coalesce($reference::VARCHAR, reference)
),
at_threshold AS (
    SELECT *, max(f1) OVER (PARTITION BY reference, slices) AS best_f1
    FROM chosen
    QUALIFY row_number() OVER (
        PARTITION BY reference, slices
        ORDER BY min_count < shown_from, CASE WHEN min_count < shown_from THEN -min_count ELSE min_count END
    ) = 1
),
frequent_edges AS (
    SELECT 'signal' AS slices, count_of($count, n_prompts, n_firings, n_visits) AS n FROM signal_graph
    UNION ALL
    SELECT 'all', count_of($count, n_prompts, n_firings, n_visits) FROM all_graph
)
SELECT
    reference, slices, shown_from AS min_count,
    (
        SELECT count(*) FROM frequent_edges AS e
        WHERE e.slices = t.slices AND e.n >= t.shown_from
    ) AS n_edges,
    n_heads, tp, precision, recall, recall_reachable, f1, best_f1
FROM at_threshold AS t
ORDER BY reference, slices DESC;
