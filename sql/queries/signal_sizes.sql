-- purpose: number of slices in the signal of a firing, by head
-- params: firing_weight DOUBLE smallest attention weight of a firing [= trace.firing_weight]
-- grain: [head that fires]
-- columns: layer, head, n_firings, min_slices, median_slices, mean_slices, max_slices, mean_share
SELECT
    layer, head,
    count(*) AS n_firings,
    min(n_slices) AS min_slices,
    median(n_slices) AS median_slices,
    avg(n_slices) AS mean_slices,
    max(n_slices) AS max_slices,
    mean_slices / (SELECT d_head FROM dump) AS mean_share
FROM pairs
WHERE eligible AND weight >= $firing_weight
GROUP BY layer, head
ORDER BY layer, head;
