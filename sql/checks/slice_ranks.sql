-- the ranks of a pair's slices are 1, 2, 3, ... without a gap, and the signal set is the first n_slices
WITH ranked AS (
    SELECT
        pair_id, count(*) AS n, min(rank) AS first, max(rank) AS last,
        sum(rank) AS rank_sum, sum(rank::BIGINT * rank) AS square_sum,
        count(*) FILTER (WHERE in_signal) AS n_signal,
        coalesce(max(rank) FILTER (WHERE in_signal), 0) AS last_in_signal
    FROM slices
    GROUP BY pair_id
)
SELECT r.pair_id, r.n, r.first, r.last, r.rank_sum, r.n_signal, r.last_in_signal, p.n_slices
FROM ranked AS r
JOIN pairs AS p USING (pair_id)
WHERE r.first <> 1 OR r.last <> r.n OR r.rank_sum <> r.n * (r.n + 1) // 2
    OR r.square_sum <> r.n * (r.n + 1) * (2 * r.n + 1) // 6
    OR r.n_signal <> p.n_slices OR r.last_in_signal <> p.n_slices;
