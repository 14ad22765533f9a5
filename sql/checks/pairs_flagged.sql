-- eligible is score >= 0 and src > 0; sampled is a weight below dump.min_weight; a weight is a share
SELECT p.pair_id, p.weight, p.score, p.src, p.eligible, p.sampled
FROM pairs AS p, (SELECT (config->>'$.dump.min_weight')::DOUBLE AS min_weight FROM dump) AS d
WHERE p.eligible <> (p.score >= 0 AND p.src > 0)
    OR NOT p.weight BETWEEN 0 AND 1.00001
    OR CASE
        WHEN p.sampled THEN p.weight > d.min_weight + 1e-6
        ELSE p.weight < d.min_weight - 1e-6
    END;
