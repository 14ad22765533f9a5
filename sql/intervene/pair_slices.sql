-- Step 5 of svt.query.edges: whether each slice of the pairs of `chosen_pairs` is in the signal
-- grain: [pair by place, slice]
SELECT s.in_signal
FROM chosen_pairs AS p
JOIN store.slices AS s USING (pair_id)
ORDER BY p.place, s.k;
