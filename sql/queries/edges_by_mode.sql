-- purpose: the edges that the paper's text shows (trace=paper) beside those of its released code (trace=released)
-- params: min_share DOUBLE least count as a share of the prompts [= trace.min_share]
--         min_count BIGINT least count; goes before min_share [= trace.min_count]
--         firing_weight DOUBLE attention weight from which a head fires [= trace.firing_weight]
--         coverage DOUBLE share of the total that the significant heads exceed [= trace.coverage]
--         slices VARCHAR slices that contributions go through [= trace.slices]
--         components VARCHAR heads, or all that the store holds [= trace.components]
--         root_dest VARCHAR role of the token that roots attend from [= trace.root_dest]
--         root_src VARCHAR role of the token they attend to, or any [= trace.root_src]
-- grain: [upstream, downstream, side, token role] that one of the two shows
-- columns: shown_in, up_layer, up_head, component, layer, head, side, role, paper_count, released_count,
--          released_prompts, paper_mean, released_mean
-- Both traces start from the run's roots. The paper leaves the constant of the appended 1 out, keeps nothing of a
-- total that is not positive and counts prompts; the released code adds the constant to every head, keeps the top
-- head and counts visits. `shown_in` is paper, released or both; an edge that a mode never has counts 0 there.
WITH root_list AS (
    SELECT list(DISTINCT [root_layer, root_head]) AS roots FROM trace_pairs
),
paper_edges AS (
    FROM traced(
        (SELECT roots FROM root_list), $root_dest, $root_src,
        $firing_weight, $coverage, $slices, 'none', $components, 'exclude'
    )
    WHERE side IS NOT NULL
),
released_edges AS (
    FROM traced(
        (SELECT roots FROM root_list), $root_dest, $root_src,
        $firing_weight, $coverage, $slices, 'top', $components, 'include'
    )
    WHERE side IS NOT NULL
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
