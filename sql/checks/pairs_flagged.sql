-- eligible is score >= 0 and src > 0; sampled is a pair that is not stored in full: its weight is below
-- dump.min_weight, or it cannot fire, unless all pairs are requested; a weight is a share
WITH settings AS (
    SELECT
        (config->>'$.dump.min_weight')::DOUBLE AS min_weight,
        config->>'$.dump.pairs' = 'all' OR min_weight = 0 AS every_pair
    FROM dump
)
SELECT p.pair_id, p.weight, p.score, p.src, p.eligible, p.sampled
FROM pairs AS p, settings
WHERE p.eligible <> (p.score >= 0 AND p.src > 0)
    OR NOT p.weight BETWEEN 0 AND 1.00001
    OR CASE
        WHEN p.sampled THEN p.weight > min_weight + 1e-6 AND (every_pair OR p.eligible)
        ELSE p.weight < min_weight - 1e-6 OR NOT (every_pair OR p.eligible)
    END;
