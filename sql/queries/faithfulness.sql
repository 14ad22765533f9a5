-- purpose: share of the logit difference that a circuit keeps, and that random heads keep, at every threshold
-- params: none
-- grain: [min_count]
-- columns: min_count, n_heads, ablation, logit_diff, share, share_above_none, accuracy,
--          random_mean_share, random_low, random_high, n_random
-- `share` is the logit difference with only the circuit's heads, divided by that with all heads; `share_above_none` is
-- the same with the value without any head subtracted from both. `random_low` and `random_high` are the smallest and
-- the largest share of random sets of that size.
WITH shares AS (
    SELECT
        *,
        logit_diff / nullif(logit_diff_full, 0) AS share,
        (logit_diff - logit_diff_none) / nullif(logit_diff_full - logit_diff_none, 0) AS share_above_none
    FROM faithfulness
),
random AS (
    SELECT
        min_count,
        avg(share ORDER BY seed) AS random_mean_share,
        min(share) AS random_low,
        max(share) AS random_high,
        count(*) AS n_random
    FROM shares
    WHERE control = 'random'
    GROUP BY min_count
)
SELECT
    t.min_count, t.n_heads, t.ablation, t.logit_diff, t.share, t.share_above_none, t.accuracy,
    r.random_mean_share, r.random_low, r.random_high, coalesce(r.n_random, 0) AS n_random
FROM shares AS t
LEFT JOIN random AS r USING (min_count)
WHERE t.control = 'traced'
ORDER BY t.min_count;
