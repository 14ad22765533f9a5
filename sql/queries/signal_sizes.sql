-- purpose: how many slices make the score of a firing, head by head
-- params: firing_weight DOUBLE attention weight from which a head fires [= trace.firing_weight]
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
