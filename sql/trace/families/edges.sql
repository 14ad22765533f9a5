-- Step 1 of svt.query.families: the edges of each prompt's trace, numbered
-- grain: [prompt, edge]
WITH chosen AS (
    SELECT prompt_id
    FROM (SELECT DISTINCT prompt_id FROM results.trace_pairs)
    ORDER BY md5(prompt_id::VARCHAR), prompt_id
    LIMIT $n_prompts
)
SELECT
    prompt_id,
    dense_rank() OVER (ORDER BY up_layer, up_head, component, layer, head, side, role) - 1 AS edge
FROM edge_prompts('results.trace_edges')
SEMI JOIN chosen USING (prompt_id)
ORDER BY prompt_id, edge;
