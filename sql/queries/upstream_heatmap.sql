-- purpose: mean contribution of every upstream head to one head's firings, over signal slices and over all
-- params: layer INTEGER layer of the head that fires
--         head INTEGER the head in its layer
--         side VARCHAR token written into: dest or src
--         firing_weight DOUBLE attention weight from which a head fires [= the run's trace.firing_weight, else 0.5]
-- grain: [upstream head]
-- columns: up_layer, up_head, contribution, contribution_all, n_firings
SELECT
    u.up_layer, u.up_head,
    avg(u.contribution) AS contribution,
    avg(u.contribution_all) AS contribution_all,
    count(*) AS n_firings
FROM upstream AS u
JOIN pairs AS p USING (pair_id)
WHERE p.layer = $layer AND p.head = $head AND p.eligible AND p.weight >= $firing_weight
    AND u.component = 'head' AND u.side::VARCHAR = $side
GROUP BY u.up_layer, u.up_head
ORDER BY u.up_layer, u.up_head;
