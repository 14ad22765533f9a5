-- Step 1 of svt.faithfulness: the heads of the circuit at every threshold that changes it
-- As in sql/macros/evaluated.sql: a head's best count is a threshold, and one above the largest leaves
-- the roots alone. One row a threshold: min_count, heads as a list of [layer, head].
WITH root_heads AS (
    SELECT DISTINCT root_layer AS layer, root_head AS head FROM results.trace_pairs
),
counted AS (
    SELECT *, count_of($count, n_prompts, n_firings, n_visits) AS n FROM results.graph_edges
),
ends AS (
    SELECT layer, head, n FROM counted
    UNION ALL
    SELECT up_layer, up_head, n FROM counted WHERE component = 'head'
),
best_counts AS (
    SELECT layer, head, max(n) AS best FROM ends GROUP BY layer, head
),
thresholds AS (
    SELECT DISTINCT best AS min_count FROM best_counts ANTI JOIN root_heads USING (layer, head)
    UNION ALL
    SELECT coalesce(max(best), 0) + 1 FROM best_counts
),
circuits AS (
    SELECT t.min_count, b.layer, b.head FROM thresholds AS t JOIN best_counts AS b ON b.best >= t.min_count
    UNION
    SELECT t.min_count, r.layer, r.head FROM thresholds AS t, root_heads AS r
)
SELECT min_count, list([layer, head] ORDER BY layer, head) AS heads
FROM circuits
GROUP BY min_count
ORDER BY min_count;
