-- purpose: the trace of one prompt: each pair that it reaches, with the significant upstream components of its sides
-- params: prompt_id INTEGER the prompt; null: the prompt whose trace has the most shown edges [= null]
--         count VARCHAR the count that thresholds apply to [= trace.count]
--         min_share DOUBLE smallest count of a shown edge as a share of the prompts [= trace.min_share]
--         min_count BIGINT smallest count of a shown edge; overrides min_share [= trace.min_count]
-- grain: [reached pair, side, upstream]; a pair without edges has one row with side null
-- columns: prompt_id, n_shown, pair_id, layer, head, dest, src, dest_token, src_token, dest_role, src_role,
--          weight, score, n_slices, is_root, side, component, up_layer, up_head, up_fires, contribution, share, effect,
--          pattern
-- `n_shown` is the number of shown edges in the prompt's trace. `up_fires` is whether the trace reaches the upstream
-- head at that token. `share` is the contribution divided by the total of all heads on that side, null where the total
-- is not positive. `effect` is the attention weight that the pair loses without the component, null unless
-- dump.effects. `pattern` is the usual name of a head that attends between these roles.
WITH named AS (
    SELECT dest_role, src_role, min(name) AS pattern FROM head_patterns GROUP BY dest_role, src_role
),
shown AS (
    SELECT up_layer, up_head, component, layer, head, side, role
    FROM graph_edges
    WHERE count_of($count, n_prompts, n_firings, n_visits) >= shown_count($min_share, $min_count)
),
traced_prompts AS (
    SELECT t.prompt_id, count(s.layer) AS n_shown
    FROM (SELECT DISTINCT prompt_id FROM trace_pairs) AS t
    LEFT JOIN edge_prompts('trace_edges') AS e USING (prompt_id)
    LEFT JOIN shown AS s
        ON s.layer = e.layer AND s.head = e.head AND s.side = e.side AND s.role = e.role
        AND s.component = e.component
        AND s.up_layer IS NOT DISTINCT FROM e.up_layer AND s.up_head IS NOT DISTINCT FROM e.up_head
    GROUP BY t.prompt_id
),
chosen AS (
    FROM traced_prompts
    WHERE prompt_id = coalesce($prompt_id::INTEGER, prompt_id)
    ORDER BY n_shown DESC, prompt_id
    LIMIT 1
),
reached AS (
    SELECT c.prompt_id, c.n_shown, t.pair_id, min(t.depth) = 0 AS is_root
    FROM trace_pairs AS t
    JOIN chosen AS c USING (prompt_id)
    GROUP BY ALL
),
edges AS (
    SELECT DISTINCT
        e.pair_id, e.side, CASE e.side WHEN 'dest' THEN e.dest ELSE e.src END AS pos,
        e.component, e.up_layer, e.up_head, e.contribution, e.effect
    FROM trace_edges AS e
    JOIN chosen USING (prompt_id)
),
firing AS (
    SELECT DISTINCT p.layer, p.head, p.dest FROM reached JOIN pairs AS p USING (pair_id)
)
SELECT
    r.prompt_id, r.n_shown, r.pair_id, p.layer, p.head, p.dest, p.src,
    dt.token AS dest_token, st.token AS src_token, dr.role AS dest_role, sr.role AS src_role,
    p.weight, p.score, p.n_slices, r.is_root,
    e.side, e.component, e.up_layer, e.up_head,
    f.layer IS NOT NULL AS up_fires,
    e.contribution,
    CASE WHEN s.total > 0 THEN e.contribution / s.total END AS share,
    e.effect,
    n.pattern
FROM reached AS r
JOIN pairs AS p USING (pair_id)
LEFT JOIN tokens AS dt ON dt.prompt_id = r.prompt_id AND dt.pos = p.dest
LEFT JOIN tokens AS st ON st.prompt_id = r.prompt_id AND st.pos = p.src
LEFT JOIN roles AS dr ON dr.prompt_id = r.prompt_id AND dr.pos = p.dest
LEFT JOIN roles AS sr ON sr.prompt_id = r.prompt_id AND sr.pos = p.src
LEFT JOIN named AS n ON n.dest_role = dr.role AND n.src_role = sr.role
LEFT JOIN edges AS e USING (pair_id)
LEFT JOIN firing AS f
    ON e.component = 'head' AND f.layer = e.up_layer AND f.head = e.up_head AND f.dest = e.pos
LEFT JOIN sides AS s ON s.pair_id = r.pair_id AND s.side = e.side
ORDER BY p.layer DESC, p.head, p.dest, p.src, e.side, e.contribution DESC, e.up_layer, e.up_head;
