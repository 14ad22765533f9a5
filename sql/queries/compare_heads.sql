-- purpose: the heads of two circuits side by side, with the rank correlation of their counts (svt-sql --other)
-- params: count VARCHAR the count that thresholds of this circuit apply to [= trace.count]
--         min_share DOUBLE smallest count of a shown edge as a share of its prompts [= trace.min_share]
--         min_count BIGINT smallest count of a shown edge; overrides min_share [= trace.min_count]
--         other_count VARCHAR the count that thresholds of the other circuit apply to [= other trace.count]
--         other_min_share DOUBLE smallest count of its shown edges as a share of its prompts [= other trace.min_share]
--         other_min_count BIGINT smallest count of its shown edges; overrides other_min_share [= other trace.min_count]
-- grain: [head of either circuit]
-- columns: found, layer, head, is_root, other_is_root, n_in, other_n_in, n_out, other_n_out, count, other_count,
--          rank, other_rank, rank_correlation
-- A circuit has the heads of its shown edges, its roots, and imported heads without an edge. `found` is both, this or
-- other. `count` is the largest count of a head's edges, `rank` the position by it, from 1; `n_in` and `n_out` are
-- numbers of edges. `rank_correlation` is Spearman's over the counts of heads with edges in both circuits, the same in
-- every row; null for fewer than two heads or when all counts are equal.
WITH these_edges AS (
    FROM frequent_edges('results.graph_edges', 'results.run', $count, $min_share, $min_count)
),
other_edges AS (
    FROM frequent_edges(
        'other_results.graph_edges', 'other_results.run', $other_count, $other_min_share,
        $other_min_count
    )
),
these AS (
    SELECT *, CASE WHEN n IS NOT NULL THEN rank() OVER (ORDER BY n DESC NULLS LAST) END AS place
    FROM shown_heads('these_edges', 'results.run', 'results.imported_heads')
),
others AS (
    SELECT *, CASE WHEN n IS NOT NULL THEN rank() OVER (ORDER BY n DESC NULLS LAST) END AS place
    FROM shown_heads('other_edges', 'other_results.run', 'other_results.imported_heads')
),
shared AS (
    SELECT
        rank() OVER (ORDER BY t.n) + count(*) OVER (PARTITION BY t.n) / 2 AS by_this,
        rank() OVER (ORDER BY o.n) + count(*) OVER (PARTITION BY o.n) / 2 AS by_other
    FROM these AS t
    JOIN others AS o USING (layer, head)
    WHERE t.n IS NOT NULL AND o.n IS NOT NULL
),
correlated AS (
    SELECT
        nullif(corr(by_this, by_other ORDER BY by_this, by_other), 'nan'::DOUBLE) AS rank_correlation
    FROM shared
)
SELECT
    CASE WHEN o.layer IS NULL THEN 'this' WHEN t.layer IS NULL THEN 'other' ELSE 'both' END AS found,
    layer, head,
    t.is_root, o.is_root AS other_is_root,
    t.n_in, o.n_in AS other_n_in,
    t.n_out, o.n_out AS other_n_out,
    t.n AS count, o.n AS other_count,
    t.place AS rank, o.place AS other_rank,
    c.rank_correlation
FROM these AS t
FULL JOIN others AS o USING (layer, head)
CROSS JOIN correlated AS c
ORDER BY list_position(['both', 'this', 'other'], found), layer, head;
