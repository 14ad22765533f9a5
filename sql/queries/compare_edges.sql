-- purpose: the shown edges of two circuits side by side, with the rank correlation of their weights (svt-sql --other)
-- params: count VARCHAR the count that thresholds of this circuit apply to [= trace.count]
--         min_share DOUBLE smallest count of a shown edge as a share of its prompts [= trace.min_share]
--         min_count BIGINT smallest count of a shown edge; overrides min_share [= trace.min_count]
--         other_count VARCHAR the count that thresholds of the other circuit apply to [= other trace.count]
--         other_min_share DOUBLE smallest count of its shown edges as a share of its prompts [= other trace.min_share]
--         other_min_count BIGINT smallest count of its shown edges; overrides other_min_share [= other trace.min_count]
--         match VARCHAR{finest,edge,side,heads} properties in which matching edges agree [= finest]
--         weight VARCHAR{mean,total,count} weight that ranks the edges [= mean]
-- grain: [edge of either circuit]
-- columns: found, matched_by, up_layer, up_head, component, layer, head, side, role, count, other_count, weight,
--          other_weight, rank, other_rank, rank_correlation
-- Edges match by edge: heads, side and role; by side: heads and side; or by heads alone. finest is the first of these
-- whose properties are known for every edge of both circuits; `matched_by` names it. Edges that are merged by the match
-- have the largest of their counts and the sum of their weights. `found` is both, this or other. `rank` is the position
-- by descending weight, from 1. `rank_correlation` is Spearman's over the edges in both circuits, the same in every
-- row; null for fewer than two edges or when all weights are equal.
WITH edges AS (
    SELECT 'this' AS circuit, *
    FROM frequent_edges('results.graph_edges', 'results.run', $count, $min_share, $min_count)
    UNION ALL
    SELECT 'other', *
    FROM frequent_edges(
        'other_results.graph_edges', 'other_results.run', $other_count, $other_min_share,
        $other_min_count
    )
),
matching AS (
    SELECT CASE
        WHEN $match <> 'finest' THEN $match
        WHEN count(*) = count(side) AND count(*) = count(role) THEN 'edge'
        WHEN count(*) = count(side) THEN 'side'
        ELSE 'heads'
    END AS matched_by
    FROM edges
),
weighed AS (
    SELECT
        circuit, matched_by, up_layer, up_head, component, layer, head,
        CASE WHEN matched_by <> 'heads' THEN side END AS edge_side,
        CASE WHEN matched_by = 'edge' THEN role END AS edge_role,
        max(n) AS n,
        CASE $weight
            WHEN 'mean' THEN sum(mean ORDER BY mean)
            WHEN 'total' THEN sum(total ORDER BY total)
            ELSE max(n)
        END::DOUBLE AS value
    FROM edges, matching
    GROUP BY ALL
),
placed AS (
    SELECT
        *,
        CASE WHEN value IS NOT NULL THEN
            rank() OVER (PARTITION BY circuit ORDER BY value DESC NULLS LAST)
        END AS place
    FROM weighed
),
pairs_of AS (
    SELECT
        matched_by, up_layer, up_head, component, layer, head, edge_side, edge_role,
        bool_or(circuit = 'this') AS here,
        bool_or(circuit = 'other') AS there,
        max(n) FILTER (WHERE circuit = 'this') AS n,
        max(n) FILTER (WHERE circuit = 'other') AS other_n,
        max(value) FILTER (WHERE circuit = 'this') AS value,
        max(value) FILTER (WHERE circuit = 'other') AS other_value,
        max(place) FILTER (WHERE circuit = 'this') AS place,
        max(place) FILTER (WHERE circuit = 'other') AS other_place
    FROM placed
    GROUP BY ALL
),
shared AS (
    SELECT
        rank() OVER (ORDER BY value) + count(*) OVER (PARTITION BY value) / 2 AS by_this,
        rank() OVER (ORDER BY other_value) + count(*) OVER (PARTITION BY other_value) / 2 AS by_other
    FROM pairs_of
    WHERE value IS NOT NULL AND other_value IS NOT NULL
),
correlated AS (
    SELECT
        nullif(corr(by_this, by_other ORDER BY by_this, by_other), 'nan'::DOUBLE) AS rank_correlation
    FROM shared
)
SELECT
    CASE WHEN NOT there THEN 'this' WHEN NOT here THEN 'other' ELSE 'both' END AS found,
    matched_by, up_layer, up_head, component, layer, head, edge_side AS side, edge_role AS role,
    n AS count, other_n AS other_count, value AS weight, other_value AS other_weight,
    place AS rank, other_place AS other_rank, rank_correlation
FROM pairs_of, correlated
ORDER BY
    list_position(['both', 'this', 'other'], found),
    value DESC NULLS LAST, other_value DESC NULLS LAST,
    layer, head, edge_side, edge_role, component, up_layer, up_head;
