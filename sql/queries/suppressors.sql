-- purpose: upstream components whose removal raises the attention weight of a head, by head and role
-- params: firing_weight DOUBLE smallest attention weight of a firing [= trace.firing_weight]
--         layer INTEGER only this layer's heads [= null]
--         head INTEGER only this head of each layer [= null]
--         min_rise DOUBLE smallest mean increase of the weight [= 0.02]
--         min_firings INTEGER smallest number of firings between those roles [= 10]
-- grain: [layer, head, side, role, upstream component]; role is that of the token that is written to
-- columns: layer, head, side, role, component, up_layer, up_head, n_firings, effect, contribution
-- needs: dump.effects
-- `effect` = weight - weight_without, negative for a suppressor; `effect` and `contribution` are means over the
-- firings.
WITH firing AS (
    SELECT pair_id, prompt_id, layer, head, dest, src, weight
    FROM pairs
    WHERE eligible AND weight >= $firing_weight
        AND layer = coalesce($layer::INTEGER, layer) AND head = coalesce($head::INTEGER, head)
),
written AS (
    SELECT
        f.layer, f.head, u.side, r.role, u.component,
        f.weight - unnest(u.weights_without) / 65535 AS effect,
        unnest(u.contributions)::DOUBLE AS contribution,
        generate_subscripts(u.contributions, 1) - 1 AS writer
    FROM firing AS f
    JOIN pair_upstream AS u USING (pair_id)
    LEFT JOIN roles AS r
        ON r.prompt_id = f.prompt_id AND r.pos = CASE u.side WHEN 'dest' THEN f.dest ELSE f.src END
    WHERE u.weights_without IS NOT NULL
),
averaged AS (
    SELECT
        layer, head, side, role, component, writer,
        count(*) AS n_firings, avg(effect ORDER BY effect) AS effect,
        avg(contribution ORDER BY contribution) AS contribution
    FROM written
    WHERE contribution IS NOT NULL
    GROUP BY layer, head, side, role, component, writer
)
SELECT a.layer, a.head, a.side, a.role, a.component, w.up_layer, w.up_head, a.n_firings, a.effect, a.contribution
FROM averaged AS a
JOIN writers AS w ON w.component = a.component AND w.writer = a.writer
WHERE a.effect <= -$min_rise AND a.n_firings >= $min_firings
ORDER BY a.effect, a.layer, a.head, a.side, a.role, a.component, w.up_layer, w.up_head;
