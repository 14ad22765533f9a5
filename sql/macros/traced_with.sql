-- traced_with: the edges of the trace from the run's own roots with other settings
-- grain: [root, reached pair, side, upstream]
-- The columns are those of `traced`, without pairs that have no edge. `pairs_table` names a relation like trace_pairs.
CREATE OR REPLACE TEMP MACRO traced_with(
    root_dest, root_src, firing_weight, coverage, slice_rule, nonpositive_rule, component_rule,
    offset_rule, edge_rule := 'coverage', min_effect := 0, pairs_table := 'trace_pairs'
) AS TABLE
FROM traced(
    (SELECT list(DISTINCT [root_layer, root_head]) FROM query_table(pairs_table)), root_dest, root_src,
    firing_weight, coverage, slice_rule, nonpositive_rule, component_rule, offset_rule,
    edge_rule, min_effect
)
WHERE side IS NOT NULL;
