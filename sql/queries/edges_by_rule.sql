-- purpose: the shown edges of the trace with trace.rule=coverage and with trace.rule=effect
-- params: min_share DOUBLE smallest count of a shown edge as a share of the prompts [= trace.min_share]
--         min_count BIGINT smallest count of a shown edge; overrides min_share [= trace.min_count]
--         firing_weight DOUBLE smallest attention weight of a firing [= trace.firing_weight]
--         coverage DOUBLE share of the total that the significant components exceed [= trace.coverage]
--         min_effect DOUBLE smallest loss of attention weight by the removal of a component [= trace.min_effect]
--         slices VARCHAR slices through which contributions are measured [= trace.slices]
--         nonpositive VARCHAR components that are significant where the total is not positive [= trace.nonpositive]
--         components VARCHAR upstream components: heads, or all in the store [= trace.components]
--         offset VARCHAR whether the constant of the bias coordinate is added to each head [= trace.offset]
--         root_dest VARCHAR role of the token that roots attend from [= trace.root_dest]
--         root_src VARCHAR role of the token that roots attend to, or any [= trace.root_src]
-- grain: [upstream, downstream, side, token role] that either rule shows
-- columns: up_layer, up_head, component, layer, head, side, role, coverage_prompts, effect_prompts, effect, shown_by
-- needs: dump.effects
-- Both traces start from the run's roots and count prompts. `effect` is the mean loss of attention weight over the
-- firings in which either rule has the edge; `shown_by` is coverage, effect or both; the count of an edge that a rule
-- lacks is 0.
WITH coverage_edges AS MATERIALIZED (
    FROM traced_with(
        $root_dest, $root_src, $firing_weight, $coverage, $slices, $nonpositive, $components, $offset
    )
),
effect_edges AS MATERIALIZED (
    FROM traced_with(
        $root_dest, $root_src, $firing_weight, $coverage, $slices, $nonpositive, $components, $offset,
        'effect', $min_effect
    )
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
