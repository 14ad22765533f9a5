-- purpose: contribution of each slice to the score of one pair, and whether it is in the signal
-- params: pair_id BIGINT the pair, for example of example_firing or example_not_firing
-- grain: [slice]
-- columns: k, sigma, contribution, rank, in_signal, dest_coord, src_coord
SELECT
    s.k, v.sigma, s.contribution, s.rank, s.in_signal, s.dest_coord, s.src_coord
FROM slices AS s
JOIN pairs AS p USING (pair_id)
LEFT JOIN singular_values AS v ON v.layer = p.layer AND v.head = p.head AND v.k = s.k
WHERE s.pair_id = $pair_id
ORDER BY s.k;
