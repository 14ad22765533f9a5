-- purpose: the significant upstream components of every firing pair, for any coverage or smallest effect
-- params: rule VARCHAR rule that selects significant components [= trace.rule]
--         min_effect DOUBLE with rule=effect, smallest loss of attention weight by a removal [= trace.min_effect]
--         coverage DOUBLE share of the total that the significant components exceed [= trace.coverage]
--         firing_weight DOUBLE smallest attention weight of a firing [= trace.firing_weight]
--         slices VARCHAR slices through which contributions are measured [= trace.slices]
--         nonpositive VARCHAR components that are significant where the total is not positive [= trace.nonpositive]
--         components VARCHAR upstream components: heads, or all in the store [= trace.components]
--         offset VARCHAR whether the constant of the bias coordinate is added to each head [= trace.offset]
--         layer INTEGER only pairs of this layer [= null]
--         head INTEGER only pairs of this head [= null]
-- grain: [firing pair, side, upstream]
-- columns: pair_id, prompt_id, layer, head, dest, src, side, component, up_layer, up_head, contribution,
--          effect
WITH firing AS (
    SELECT pair_id
    FROM pairs
    WHERE eligible AND weight >= $firing_weight
        AND layer = coalesce($layer::INTEGER, layer) AND head = coalesce($head::INTEGER, head)
),
firing_lists AS (
    SELECT * FROM pair_upstream SEMI JOIN firing USING (pair_id)
)
SELECT
    pair_id, prompt_id, layer, head, dest, src, side, component, up_layer, up_head, contribution,
    effect
FROM significant_edges(
    'firing_lists', $coverage, $slices, $nonpositive, $components, $offset, $rule, $min_effect
)
ORDER BY pair_id, side, contribution DESC, component, up_layer, up_head;
