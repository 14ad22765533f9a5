-- Steps 1 to 4 of svt.query.trace: the complete trace, for the inserts that follow
CREATE OR REPLACE TEMP TABLE traced AS
FROM traced(
    $roots, $root_dest, $root_src,
    $firing_weight, $coverage, $slices, $nonpositive, $components, $offset, $rule, $min_effect
);
