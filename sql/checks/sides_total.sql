-- a side's totals are the sums over its heads, all of them below and each ranked once; and their
-- cum_before add up to what they must: a contribution stands in that of every head ranked below it
WITH sums AS (
    SELECT
        pair_id, side, count(*) AS n, max(rank) AS last, sum(rank) AS rank_sum,
        sum(contribution::DOUBLE) AS total, sum(abs(contribution::DOUBLE)) AS size,
        sum(contribution_all::DOUBLE) AS total_all, sum(abs(contribution_all::DOUBLE)) AS size_all,
        sum(contribution::DOUBLE * rank) AS by_rank,
        sum(contribution::DOUBLE * rank * rank) AS by_square,
        sum(cum_before) AS cum, sum(cum_before * rank) AS cum_by_rank
    FROM upstream
    WHERE component = 'head'
    GROUP BY pair_id, side
)
SELECT
    s.pair_id, s.side, s.total, u.total AS total_of_heads, s.total_all,
    u.total_all AS total_all_of_heads, s.n_heads, u.n, u.last, u.cum
FROM sides AS s
FULL JOIN sums AS u ON u.pair_id = s.pair_id AND u.side = s.side
WHERE s.pair_id IS NULL
    OR coalesce(u.n, 0) <> s.n_heads
    OR u.last <> u.n OR u.rank_sum <> u.n * (u.n + 1) // 2
    OR NOT isfinite(u.total) OR NOT isfinite(u.total_all)
    OR NOT abs(s.total - coalesce(u.total, 0)) <= 1e-6 * (1 + coalesce(u.size, 0))
    OR NOT abs(s.total_all - coalesce(u.total_all, 0)) <= 1e-6 * (1 + coalesce(u.size_all, 0))
    OR NOT abs(u.n * u.total - u.by_rank - u.cum) <= 1e-9 * u.n * (1 + u.size)
    OR NOT abs((u.n * (u.n + 1) * u.total - u.by_square - u.by_rank) / 2 - u.cum_by_rank)
        <= 1e-9 * u.n * u.n * (1 + u.size);
