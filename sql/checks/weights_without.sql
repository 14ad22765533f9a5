-- a token that can attend only to itself keeps weight 1 without any writer
SELECT u.pair_id, u.side, u.component, list_min(u.weights_without) AS least
FROM pair_upstream AS u
JOIN pairs AS p USING (pair_id)
WHERE p.dest = 0 AND list_min(u.weights_without) < 65535;
