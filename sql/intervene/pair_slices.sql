-- Step 5 of svt.query.edges: which slices of the pairs of `chosen_pairs` are in the signal
-- grain: [place of a pair in the list given, slice]
SELECT s.in_signal
FROM chosen_pairs AS p
JOIN store.slices AS s USING (pair_id)
ORDER BY p.place, s.k;
