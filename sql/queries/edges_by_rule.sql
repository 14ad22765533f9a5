-- purpose: the edges that the coverage rule shows (trace.rule=coverage) beside those that the effect rule shows
-- params: min_share DOUBLE least count as a share of the prompts [= trace.min_share]
--         min_count BIGINT least count; goes before min_share [= trace.min_count]
--         firing_weight DOUBLE attention weight from which a head fires [= trace.firing_weight]
--         coverage DOUBLE share of the total that the significant heads exceed [= trace.coverage]
--         min_effect DOUBLE what a removal takes from the weight, at least [= trace.min_effect]
--         slices VARCHAR slices that contributions go through [= trace.slices]
--         nonpositive VARCHAR what a total that is not positive keeps [= trace.nonpositive]
--         components VARCHAR heads, or all that the store holds [= trace.components]
--         offset VARCHAR each head's constant of the bias coordinate [= trace.offset]
--         root_dest VARCHAR role of the token that roots attend from [= trace.root_dest]
--         root_src VARCHAR role of the token they attend to, or any [= trace.root_src]
-- grain: [upstream, downstream, side, token role] that one of the two shows
-- columns: up_layer, up_head, component, layer, head, side, role, coverage_prompts, effect_prompts, effect, shown_by
-- needs: dump.effects
-- Both traces start from the run's roots and count prompts. `effect` is the mean over the firings in which either rule
-- keeps the edge; `shown_by` is coverage, effect or both; a rule that never keeps an edge counts 0 there.
WITH root_list AS (
    SELECT list(DISTINCT [root_layer, root_head]) AS roots FROM trace_pairs
),
coverage_edges AS MATERIALIZED (
    FROM traced(
        (SELECT roots FROM root_list), $root_dest, $root_src,
        $firing_weight, $coverage, $slices, $nonpositive, $components, $offset, 'coverage', $min_effect
    )
    WHERE side IS NOT NULL
),
effect_edges AS MATERIALIZED (
    FROM traced(
        (SELECT roots FROM root_list), $root_dest, $root_src,
        $firing_weight, $coverage, $slices, $nonpositive, $components, $offset, 'effect', $min_effect
    )
    WHERE side IS NOT NULL
),
either_edges AS (
    FROM coverage_edges UNION ALL FROM effect_edges
),
by_rule AS (
    SELECT 'coverage' AS rule, * FROM graph('coverage_edges')
    UNION ALL
    SELECT 'effect', * FROM graph('effect_edges')
    UNION ALL
    SELECT 'either', * FROM graph('either_edges')
),
side_by_side AS (
    SELECT
        up_layer, up_head, component, layer, head, side, role,
        coalesce(any_value(n_prompts) FILTER (WHERE rule = 'coverage'), 0) AS coverage_prompts,
        coalesce(any_value(n_prompts) FILTER (WHERE rule = 'effect'), 0) AS effect_prompts,
        any_value(effect) FILTER (WHERE rule = 'either') AS effect
    FROM by_rule
    GROUP BY up_layer, up_head, component, layer, head, side, role
),
thresholds AS (
    SELECT shown_count($min_share, $min_count) AS shown_from
)
SELECT
    up_layer, up_head, component, layer, head, side, role, coverage_prompts, effect_prompts, effect,
    CASE
        WHEN effect_prompts < shown_from THEN 'coverage'
        WHEN coverage_prompts < shown_from THEN 'effect'
        ELSE 'both'
    END AS shown_by
FROM side_by_side, thresholds
WHERE greatest(coverage_prompts, effect_prompts) >= shown_from
ORDER BY effect DESC, layer, head, side, role, component, up_layer, up_head;
