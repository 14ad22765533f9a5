-- leading_edges: the significant upstream components of pairs, with the firings that each leads to
-- grain: [pair, side, component, next pair]; the next pair is null where the component does not fire
-- `lists_table` names rows of pair_upstream, those of the pairs, `firing_table` firing pairs as `traced` has them.
CREATE OR REPLACE TEMP MACRO leading_edges(
    lists_table, firing_table, coverage, slice_rule, nonpositive_rule, component_rule, offset_rule
) AS TABLE
SELECT
    e.pair_id, e.side, e.pos, e.component, e.up_layer, e.up_head, e.contribution, e.effect,
    f.pair_id AS next_pair_id
FROM significant_edges(
    lists_table, coverage, slice_rule, nonpositive_rule, component_rule, offset_rule
) AS e
LEFT JOIN query_table(firing_table) AS f
    ON f.prompt_id = e.prompt_id AND f.layer = e.up_layer AND f.head = e.up_head
    AND f.dest = e.pos;
