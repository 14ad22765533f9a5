-- leading_edges: the significant upstream components of pairs, with the firing that each leads to
-- grain: [pair, side, component, next pair]; the next pair is null if the component does not fire
-- `lists_table` names the rows of pair_upstream of the pairs, `firing_table` the firing pairs, with the columns of the
-- CTE firing in `traced`.
CREATE OR REPLACE TEMP MACRO leading_edges(
    lists_table, firing_table, coverage, slice_rule, nonpositive_rule, component_rule, offset_rule,
    edge_rule, min_effect
) AS TABLE
SELECT
    e.pair_id, e.side, e.pos, e.component, e.up_layer, e.up_head, e.contribution, e.effect,
    f.pair_id AS next_pair_id
FROM significant_edges(
    lists_table, coverage, slice_rule, nonpositive_rule, component_rule, offset_rule, edge_rule, min_effect
) AS e
LEFT JOIN query_table(firing_table) AS f
    ON f.prompt_id = e.prompt_id AND f.layer = e.up_layer AND f.head = e.up_head
    AND f.dest = e.pos;
