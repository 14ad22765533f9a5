-- purpose: what writes for a head's firings through one of their tokens, on average
-- params: layer INTEGER layer of the head that fires
--         head INTEGER the head in its layer
--         side VARCHAR{dest,src} token written into
--         role VARCHAR only firings where that token has this role, or any [= any]
--         firing_weight DOUBLE attention weight from which a head fires [= the run's trace.firing_weight, else 0.5]
--         coverage DOUBLE share of the total that the significant heads exceed [= the run's trace.coverage, else 0.7]
-- grain: [upstream component]; n_significant counts the firings in which a head is significant over signal
--        slices, without the offset
-- columns: component, up_layer, up_head, n_firings, n_significant, contribution, contribution_all
WITH firing AS (
    SELECT
        p.pair_id, s.side, $coverage * s.total AS covered, s.total > 0 AS positive
    FROM pairs AS p
    JOIN sides AS s ON s.pair_id = p.pair_id AND s.side::VARCHAR = $side
    LEFT JOIN roles AS r
        ON r.prompt_id = p.prompt_id AND r.pos = CASE s.side WHEN 'dest' THEN p.dest ELSE p.src END
    WHERE p.layer = $layer AND p.head = $head AND p.eligible AND p.weight >= $firing_weight
        AND ($role = 'any' OR r.role = $role)
)
SELECT
    u.component, u.up_layer, u.up_head,
    count(*) AS n_firings,
    count(*) FILTER (WHERE f.positive AND u.cum_before <= f.covered) AS n_significant,
    avg(u.contribution) AS contribution,
    avg(u.contribution_all) AS contribution_all
FROM upstream AS u
JOIN firing AS f ON f.pair_id = u.pair_id AND f.side = u.side
GROUP BY u.component, u.up_layer, u.up_head
ORDER BY contribution DESC, u.component, u.up_layer, u.up_head;
