-- purpose: the shown edges of the trace in the paper's text (trace=paper) and in its released code (trace=released)
-- params: min_share DOUBLE smallest count of a shown edge as a share of the prompts [= trace.min_share]
--         min_count BIGINT smallest count of a shown edge; overrides min_share [= trace.min_count]
--         firing_weight DOUBLE smallest attention weight of a firing [= trace.firing_weight]
--         coverage DOUBLE share of the total that the significant components exceed [= trace.coverage]
--         slices VARCHAR slices through which contributions are measured [= trace.slices]
--         components VARCHAR upstream components: heads, or all in the store [= trace.components]
--         root_dest VARCHAR role of the token that roots attend from [= trace.root_dest]
--         root_src VARCHAR role of the token that roots attend to, or any [= trace.root_src]
-- grain: [upstream, downstream, side, token role] that either mode shows
-- columns: shown_in, up_layer, up_head, component, layer, head, side, role, paper_count, released_count,
--          released_prompts, paper_mean, released_mean
-- Both traces start from the run's roots. trace=paper excludes the constant of the appended 1, has no significant
-- component where the total is not positive, and counts prompts; trace=released adds the constant to every head, has
-- the top head there, and counts visits. `shown_in` is paper, released or both; the count of an edge that a mode lacks
-- is 0.
WITH paper_edges AS (
    FROM traced_with(
        $root_dest, $root_src, $firing_weight, $coverage, $slices, 'none', $components, 'exclude'
    )
),
released_edges AS (
    FROM traced_with(
        $root_dest, $root_src, $firing_weight, $coverage, $slices, 'top', $components, 'include'
    )
),
both_modes AS (
    SELECT 'paper' AS mode, * FROM graph('paper_edges')
    UNION ALL
    SELECT 'released', * FROM graph('released_edges')
),
side_by_side AS (
    SELECT
        up_layer, up_head, component, layer, head, side, role,
        coalesce(any_value(n_prompts) FILTER (WHERE mode = 'paper'), 0) AS paper_count,
        coalesce(any_value(n_visits) FILTER (WHERE mode = 'released'), 0) AS released_count,
        coalesce(any_value(n_prompts) FILTER (WHERE mode = 'released'), 0) AS released_prompts,
        any_value(mean) FILTER (WHERE mode = 'paper') AS paper_mean,
        any_value(mean) FILTER (WHERE mode = 'released') AS released_mean
    FROM both_modes
    GROUP BY ALL
),
thresholds AS (
    SELECT shown_count($min_share, $min_count) AS shown_from
),
shown AS (
    SELECT
        CASE
            WHEN released_count < shown_from THEN 'paper'
            WHEN paper_count < shown_from THEN 'released'
            ELSE 'both'
        END AS shown_in,
        *
    FROM side_by_side, thresholds
    WHERE greatest(paper_count, released_count) >= shown_from
)
SELECT
    shown_in, up_layer, up_head, component, layer, head, side, role,
    paper_count, released_count, released_prompts, paper_mean, released_mean
FROM shown
ORDER BY
    list_position(['paper', 'released', 'both'], shown_in), released_count DESC, paper_count DESC,
    layer, head, side, role, component, up_layer, up_head;
