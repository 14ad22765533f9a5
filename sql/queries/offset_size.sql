-- purpose: size of the constant that the appended 1 adds to every upstream head, relative to contributions
-- params: heads BOOLEAN a row for each head instead of one for all heads [= false]
--         firing_weight DOUBLE smallest attention weight of a firing [= trace.firing_weight]
--         coverage DOUBLE share of the total that the significant components exceed [= trace.coverage]
--         slices VARCHAR slices through which contributions are measured [= trace.slices]
--         nonpositive VARCHAR components that are significant where the total is not positive [= trace.nonpositive]
-- grain: [side], or [head, side]; layer and head are null in the rows for all heads
-- columns: layer, head, side, n_sides, offset, offset_size, largest, offset_to_largest, total, added,
--          added_to_total, share_changed
-- Means over the sides of firing pairs with upstream heads: `offset` is the constant, `offset_size` its absolute value,
-- `largest` the largest absolute contribution of a head, `total` the absolute sum of contributions, and `added` the
-- absolute sum of the constants of all heads. The ratios are ratios of these means. `share_changed` is the share of
-- sides whose significant heads differ with the constant.
WITH firing AS MATERIALIZED (
    SELECT pair_id FROM pairs WHERE eligible AND weight >= $firing_weight
),
firing_lists AS MATERIALIZED (
    SELECT * FROM pair_upstream SEMI JOIN firing USING (pair_id)
),
firing_sides AS (
    SELECT
        p.pair_id, p.layer, p.head, s.side, s.n_heads,
        CASE $slices WHEN 'all' THEN s.total_all ELSE s.total END AS total,
        CASE
            WHEN $slices = 'all' AND s.side = 'dest' THEN p.dest_offset_all
            WHEN $slices = 'all' THEN p.src_offset_all
            WHEN s.side = 'dest' THEN p.dest_offset
            ELSE p.src_offset
        END AS offset_each
    FROM pairs AS p
    JOIN sides AS s USING (pair_id)
    SEMI JOIN firing USING (pair_id)
),
largest AS (
    SELECT
        pair_id, side,
        CASE $slices WHEN 'all' THEN contributions_all ELSE contributions END AS sizes,
        greatest(list_max(sizes), -list_min(sizes))::DOUBLE AS largest
    FROM firing_lists
    WHERE component = 'head'
),
kept AS (
    SELECT pair_id, side, list((up_layer, up_head) ORDER BY up_layer, up_head) AS heads
    FROM significant_edges('firing_lists', $coverage, $slices, $nonpositive, 'head', 'exclude')
    GROUP BY pair_id, side
),
kept_with AS (
    SELECT pair_id, side, list((up_layer, up_head) ORDER BY up_layer, up_head) AS heads
    FROM significant_edges('firing_lists', $coverage, $slices, $nonpositive, 'head', 'include')
    GROUP BY pair_id, side
),
measured AS (
    SELECT
        CASE WHEN $heads THEN f.layer END AS layer,
        CASE WHEN $heads THEN f.head END AS head,
        f.side, f.pair_id, f.offset_each, l.largest,
        abs(f.total) AS total,
        abs(f.n_heads * f.offset_each) AS added,
        k.heads IS DISTINCT FROM w.heads AS changed
    FROM firing_sides AS f
    JOIN largest AS l ON l.pair_id = f.pair_id AND l.side = f.side
    LEFT JOIN kept AS k ON k.pair_id = f.pair_id AND k.side = f.side
    LEFT JOIN kept_with AS w ON w.pair_id = f.pair_id AND w.side = f.side
),
sums AS (
    SELECT
        layer, head, side,
        count(*) AS n_sides,
        sum(offset_each ORDER BY pair_id) AS offset_sum,
        sum(abs(offset_each) ORDER BY pair_id) AS size_sum,
        sum(largest ORDER BY pair_id) AS largest_sum,
        sum(total ORDER BY pair_id) AS total_sum,
        sum(added ORDER BY pair_id) AS added_sum,
        count(*) FILTER (WHERE changed) AS n_changed
    FROM measured
    GROUP BY layer, head, side
)
SELECT
    layer, head, side, n_sides,
    offset_sum / n_sides AS offset,
    size_sum / n_sides AS offset_size,
    largest_sum / n_sides AS largest,
    size_sum / nullif(largest_sum, 0) AS offset_to_largest,
    total_sum / n_sides AS total,
    added_sum / n_sides AS added,
    added_sum / nullif(total_sum, 0) AS added_to_total,
    n_changed / n_sides AS share_changed
FROM sums
ORDER BY layer, head, side;
