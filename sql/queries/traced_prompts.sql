-- purpose: the prompts that the trace reaches, those with the most shown edges of each template and order first
-- params: count VARCHAR the count that thresholds apply to [= trace.count]
--         min_share DOUBLE smallest count of a shown edge as a share of the prompts [= trace.min_share]
--         min_count BIGINT smallest count of a shown edge; overrides min_share [= trace.min_count]
-- grain: [prompt]
-- columns: prompt_id, template, pattern, text, n_shown
-- `n_shown` is the number of shown edges in the prompt's trace. The prompt with the most shown edges of each template
-- and pattern comes first, then the second of each, and so on.
WITH shown AS (
    SELECT up_layer, up_head, component, layer, head, side, role
    FROM graph_edges
    WHERE count_of($count, n_prompts, n_firings, n_visits) >= shown_count($min_share, $min_count)
),
counted AS (
    SELECT t.prompt_id, count(s.layer) AS n_shown
    FROM (SELECT DISTINCT prompt_id FROM trace_pairs) AS t
    LEFT JOIN edge_prompts('trace_edges') AS e USING (prompt_id)
    LEFT JOIN shown AS s
        ON s.layer = e.layer AND s.head = e.head AND s.side = e.side AND s.role = e.role
        AND s.component = e.component
        AND s.up_layer IS NOT DISTINCT FROM e.up_layer AND s.up_head IS NOT DISTINCT FROM e.up_head
    GROUP BY t.prompt_id
)
SELECT prompt_id, p.template, p.pattern, p.text, c.n_shown
FROM counted AS c
JOIN prompts AS p USING (prompt_id)
ORDER BY
    row_number() OVER (PARTITION BY p.template, p.pattern ORDER BY c.n_shown DESC, prompt_id),
    c.n_shown DESC, prompt_id;
