-- without a writer a weight is one: 0 to 1, and 1 where the token attends to itself alone
SELECT u.pair_id, u.side, u.component, list_min(u.weights_without) AS least, list_max(u.weights_without) AS most
FROM pair_upstream AS u
JOIN pairs AS p USING (pair_id)
WHERE list_min(u.weights_without) < 0 OR list_max(u.weights_without) > 65535
    OR (p.dest = 0 AND list_min(u.weights_without) < 65535);
