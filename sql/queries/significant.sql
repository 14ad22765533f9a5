-- purpose: the significant upstream components of every firing pair, for any coverage
-- params: coverage DOUBLE share of the total contribution that they exceed [= trace.coverage]
--         firing_weight DOUBLE attention weight from which a head fires [= trace.firing_weight]
--         slices VARCHAR slices that contributions go through [= trace.slices]
--         nonpositive VARCHAR what a total that is not positive keeps [= trace.nonpositive]
--         components VARCHAR heads, or all that the store holds [= trace.components]
--         offset VARCHAR each head's constant of the bias coordinate [= trace.offset]
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
FROM significant_edges('firing_lists', $coverage, $slices, $nonpositive, $components, $offset)
ORDER BY pair_id, side, contribution DESC, component, up_layer, up_head;
