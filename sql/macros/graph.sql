-- graph: the edges of a trace, counted over prompts by the role of the token that is written to
-- grain: [upstream, downstream, side, token role]
-- `edges_table` names a relation with the columns of trace_edges. A pair that many roots reach counts once in
-- n_prompts, n_firings, total, mean and effect; its visits are summed.
CREATE OR REPLACE TEMP MACRO graph(edges_table) AS TABLE
WITH per_pair AS (
    SELECT
        e.up_layer, e.up_head, e.component, e.layer, e.head, e.side, r.role, e.prompt_id, e.pair_id,
        any_value(e.contribution) AS contribution,
        any_value(e.effect) AS effect,
        sum(e.visits) AS visits
    FROM query_table(edges_table) AS e
    JOIN places AS r
        ON r.prompt_id = e.prompt_id AND r.pos = CASE e.side WHEN 'dest' THEN e.dest ELSE e.src END
    GROUP BY ALL
)
SELECT
    up_layer, up_head, component, layer, head, side, role,
    count(DISTINCT prompt_id) AS n_prompts,
    count(*) AS n_firings,
    least(sum(visits), 9000000000000000000)::BIGINT AS n_visits,
    sum(contribution ORDER BY pair_id) AS total,
    total / n_firings AS mean,
    avg(effect ORDER BY pair_id) AS effect
FROM per_pair
GROUP BY up_layer, up_head, component, layer, head, side, role;
