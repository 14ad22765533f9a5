-- purpose: how one head's attention weights are distributed, over the pairs that may fire
-- params: layer INTEGER layer of the head
--         head INTEGER the head in its layer
-- grain: [bin of weights, 0.05 wide]
-- columns: low, high, n_pairs, share, n_prompts
-- Pairs below dump.min_weight, of which the store holds a sample at most, and the first token as source stay out;
-- `share` is that of the pairs of the other bins together, `n_prompts` the prompts of the bin.
SELECT
    least(floor(weight * 20 + 1e-6), 19) / 20 AS low,
    low + 0.05 AS high,
    count(*) AS n_pairs,
    count(*) / sum(count(*)) OVER () AS share,
    count(DISTINCT prompt_id) AS n_prompts
FROM pairs
WHERE layer = $layer AND head = $head AND eligible AND NOT sampled
GROUP BY low
ORDER BY low;
