-- without any writer a token that can attend to itself alone still does: its weight stays 1
SELECT u.pair_id, u.side, u.component, list_min(u.weights_without) AS least
FROM pair_upstream AS u
JOIN pairs AS p USING (pair_id)
WHERE p.dest = 0 AND list_min(u.weights_without) < 65535;
