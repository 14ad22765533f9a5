-- purpose: the significant upstream components of every firing pair, for any coverage
-- params: coverage DOUBLE share of the total contribution that they exceed [= the run's trace.coverage, else 0.7]
--         firing_weight DOUBLE attention weight from which a head fires [= the run's trace.firing_weight, else 0.5]
--         slices VARCHAR{signal,all} slices that contributions go through [= the run's trace.slices, else signal]
--         nonpositive VARCHAR{none,top} what a total that is not positive keeps [= the run's trace.nonpositive, else none]
--         components VARCHAR{head,all} heads, or all that the store holds [= the run's trace.components, else head]
--         offset VARCHAR{exclude,include} each head's constant of the bias coordinate [= the run's trace.offset, else exclude]
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
