-- purpose: how often each slice of a head is in the signal of its firings
-- params: firing_weight DOUBLE smallest attention weight of a firing [= trace.firing_weight]
--         layer INTEGER only the heads of this layer [= null]
--         head INTEGER only this head of each layer [= null]
-- grain: [head that fires, slice]
-- columns: layer, head, k, sigma, n_firings, n_in_signal, share, mean_contribution
SELECT
    p.layer, p.head, s.k,
    any_value(v.sigma) AS sigma,
    count(*) AS n_firings,
    count(*) FILTER (WHERE s.in_signal) AS n_in_signal,
    n_in_signal / n_firings AS share,
    avg(s.contribution) AS mean_contribution
FROM pairs AS p
JOIN slices AS s USING (pair_id)
LEFT JOIN singular_values AS v ON v.layer = p.layer AND v.head = p.head AND v.k = s.k
WHERE p.eligible AND p.weight >= $firing_weight
    AND p.layer = coalesce($layer::INTEGER, p.layer) AND p.head = coalesce($head::INTEGER, p.head)
GROUP BY p.layer, p.head, s.k
ORDER BY p.layer, p.head, s.k;
