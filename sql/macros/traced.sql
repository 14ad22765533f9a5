-- traced: Algorithm 1 from every root pair of every prompt, without following its paths one by one
-- grain: [root, reached pair, side, upstream]; a pair without edges has one row with side null
-- First, the pairs that any root reaches are determined level by level; upstream components are ordered only for these.
-- Then the visits of a pair at each path length are the sum over the pairs that lead to it of their visits times their
-- significant edges to it (two for a head that attends from a token to itself).
CREATE OR REPLACE TEMP MACRO traced(
    roots, root_dest, root_src,
    firing_weight, coverage, slice_rule, nonpositive_rule, component_rule, offset_rule,
    edge_rule := 'coverage', min_effect := 0
) AS TABLE
WITH RECURSIVE firing AS MATERIALIZED (
    SELECT pair_id, prompt_id, layer, head, dest, src
    FROM pairs
    WHERE eligible AND weight >= firing_weight
),
root_pairs AS MATERIALIZED (
    SELECT DISTINCT f.layer AS root_layer, f.head AS root_head, f.pair_id
    FROM (SELECT unnest(roots) AS root) AS r
    JOIN firing AS f ON f.layer = r.root[1] AND f.head = r.root[2]
    JOIN roles AS d ON d.prompt_id = f.prompt_id AND d.pos = f.dest AND d.role = root_dest
    LEFT JOIN roles AS s ON s.prompt_id = f.prompt_id AND s.pos = f.src
    WHERE root_src = 'any' OR s.role = root_src
),
firing_lists AS MATERIALIZED (
    SELECT * FROM pair_upstream SEMI JOIN firing USING (pair_id)
),
root_lists AS (
    SELECT * FROM firing_lists SEMI JOIN root_pairs USING (pair_id)
),
walked AS MATERIALIZED (
    FROM leading_edges(
        'root_lists', 'firing', coverage, slice_rule, nonpositive_rule, component_rule, offset_rule,
        edge_rule, min_effect
    )
    UNION
    (
        WITH level_lists AS (
            SELECT * FROM firing_lists WHERE pair_id IN (SELECT next_pair_id FROM walked)
        )
        FROM leading_edges(
            'level_lists', 'firing', coverage, slice_rule, nonpositive_rule, component_rule, offset_rule,
            edge_rule, min_effect
        )
    )
),
links AS (
    SELECT pair_id, next_pair_id, count(*) AS n_edges
    FROM walked
    WHERE next_pair_id IS NOT NULL
    GROUP BY pair_id, next_pair_id
),
edges AS (
    SELECT DISTINCT * EXCLUDE (next_pair_id) FROM walked
),
steps AS (
    SELECT root_layer, root_head, pair_id, 0 AS depth, 1::DOUBLE AS visits
    FROM root_pairs
    UNION ALL
    SELECT s.root_layer, s.root_head, l.next_pair_id, s.depth + 1, sum(s.visits * l.n_edges)
    FROM steps AS s
    JOIN links AS l USING (pair_id)
    GROUP BY s.root_layer, s.root_head, l.next_pair_id, s.depth
),
reached AS (
    SELECT
        root_layer, root_head, pair_id, min(depth) AS depth,
        least(sum(visits), 9e18)::BIGINT AS visits
    FROM steps
    GROUP BY ALL
)
SELECT
    r.root_layer, r.root_head, f.prompt_id, r.pair_id, f.layer, f.head, f.dest, f.src,
    r.depth, r.visits, e.side, e.pos, e.component, e.up_layer, e.up_head, e.contribution, e.effect
FROM reached AS r
JOIN firing AS f USING (pair_id)
LEFT JOIN edges AS e USING (pair_id);
