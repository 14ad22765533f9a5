-- purpose: histogram of one head's attention weights, over pairs that can fire
-- params: layer INTEGER layer of the head
--         head INTEGER the head in its layer
-- grain: [bin of weights, 0.05 wide]
-- columns: low, high, n_pairs, share, n_prompts
-- Pairs below dump.min_weight, of which the store has at most a sample, and pairs with the first token as src are left
-- out. `share` is n_pairs over that of all bins; `n_prompts` is the number of prompts with a pair in the bin.
WITH bins AS (
    SELECT unnest(range(20)) AS bin
),
counted AS (
    SELECT
        least(floor(weight * 20 + 1e-6), 19)::BIGINT AS bin,
        count(*) AS n_pairs,
        count(DISTINCT prompt_id) AS n_prompts
    FROM pairs
    WHERE layer = $layer AND head = $head AND eligible AND NOT sampled
    GROUP BY bin
)
SELECT
    bin / 20 AS low,
    (bin + 1) / 20 AS high,
    coalesce(n_pairs, 0) AS n_pairs,
    coalesce(n_pairs, 0) / sum(n_pairs) OVER () AS share,
    coalesce(n_prompts, 0) AS n_prompts
FROM bins
LEFT JOIN counted USING (bin)
QUALIFY sum(n_pairs) OVER () > 0
ORDER BY low;
