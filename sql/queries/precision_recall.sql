-- purpose: precision and recall of the traced circuit, at one threshold or at every threshold that changes it
-- params: min_count BIGINT smallest count of an edge; null for the whole curve [= null]
--         count VARCHAR the count that thresholds apply to [= trace.count]
--         reference VARCHAR only this reference [= null]
-- grain: [reference, min_count]; a row of the curve also applies to the thresholds between it and the next smaller
--        one
-- columns: reference, count, min_count, n_heads, tp, precision, recall, recall_reachable, f1
WITH chosen AS (
    SELECT
        * EXCLUDE (min_count),
        min_count AS up_to,
        lag(min_count, 1, 0) OVER thresholds AS beyond,
        lead(min_count) OVER thresholds IS NULL AS is_last
    FROM evaluation
    WHERE count::VARCHAR = $count AND reference = coalesce($reference::VARCHAR, reference)
    WINDOW thresholds AS (PARTITION BY reference ORDER BY min_count)
)
SELECT
    reference, count, coalesce($min_count::BIGINT, up_to) AS min_count,
    n_heads, tp, precision, recall, recall_reachable, f1
FROM chosen
WHERE $min_count::BIGINT IS NULL
    OR (($min_count::BIGINT > beyond OR beyond = 0) AND ($min_count::BIGINT <= up_to OR is_last))
ORDER BY reference, up_to;
