-- edge_prompts: the edges of a trace in each prompt, by the role of the token that is written to
-- grain: [upstream, downstream, side, token role, prompt]
-- `edges_table` names a relation with the columns of trace_edges. A pair that many roots reach is one firing; its
-- visits are summed.
CREATE OR REPLACE TEMP MACRO edge_prompts(edges_table) AS TABLE
SELECT
    e.up_layer, e.up_head, e.component, e.layer, e.head, e.side, r.role, e.prompt_id,
    count(DISTINCT e.pair_id) AS n_firings,
    least(sum(e.visits), 9000000000000000000)::BIGINT AS n_visits
FROM query_table(edges_table) AS e
JOIN places AS r
    ON r.prompt_id = e.prompt_id AND r.pos = CASE e.side WHEN 'dest' THEN e.dest ELSE e.src END
GROUP BY e.up_layer, e.up_head, e.component, e.layer, e.head, e.side, r.role, e.prompt_id;
