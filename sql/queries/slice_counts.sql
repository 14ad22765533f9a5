-- purpose: distribution of the number of slices in the signal of a firing, over all firings
-- params: heads INTEGER[][] only firings of these heads [= null]
--         dest_role VARCHAR only firings from a token with this role, or any [= any]
--         src_role VARCHAR only firings to a token with this role, or any [= any]
--         firing_weight DOUBLE smallest attention weight of a firing [= trace.firing_weight]
-- grain: [number of slices that occurs]; share is of these firings, model and dataset are those of the store
-- columns: n_slices, n_firings, share, d_head, model, dataset
SELECT
    p.n_slices,
    count(*) AS n_firings,
    n_firings / sum(n_firings) OVER () AS share,
    any_value(i.d_head) AS d_head,
    any_value(i.model_name) AS model,
    any_value(i.config->>'$.dataset.name') AS dataset
FROM pairs AS p
CROSS JOIN dump AS i
LEFT JOIN roles AS d ON d.prompt_id = p.prompt_id AND d.pos = p.dest
LEFT JOIN roles AS s ON s.prompt_id = p.prompt_id AND s.pos = p.src
WHERE p.eligible AND p.weight >= $firing_weight
    AND ($heads::INTEGER[][] IS NULL OR list_contains($heads::INTEGER[][], [p.layer::INTEGER, p.head::INTEGER]))
    AND ($dest_role = 'any' OR d.role = $dest_role)
    AND ($src_role = 'any' OR s.role = $src_role)
GROUP BY p.n_slices
ORDER BY p.n_slices;
