-- purpose: the chain of shown edges into each root with the largest sum of effects
-- params: min_effect DOUBLE smallest strength of a step, as mean loss of weight over all prompts [= 0.03]
--         root_dest VARCHAR role of the token that roots attend from [= trace.root_dest]
--         count VARCHAR the count that thresholds apply to [= trace.count]
--         min_share DOUBLE smallest count of a shown edge as a share of the prompts [= trace.min_share]
--         min_count BIGINT smallest count of a shown edge; overrides min_share [= trace.min_count]
-- grain: [root]
-- columns: layer, head, n_heads, total, weakest, chain
-- A step is a shown edge from a head that the trace reaches at the role it writes to. Its strength is its effect times
-- the share of the prompts that have it, so a chain requires dump.effects. `total` is the sum of the strengths and
-- `weakest` the smallest; `chain` is the chain as text. For each head only the strongest chain of each length is
-- extended.
WITH RECURSIVE mainly AS (
    SELECT layer, head, dest_role, src_role
    FROM graph_firings
    WHERE dest_role IS NOT NULL
    QUALIFY row_number() OVER (
        PARTITION BY layer, head, dest_role ORDER BY n_prompts DESC, n_firings DESC, src_role
    ) = 1
),
named AS (
    SELECT
        m.layer, m.head, m.dest_role,
        concat(
            m.layer, '.', m.head, ' ' || min(p.name),
            ' (', m.dest_role, ' -> ', coalesce(m.src_role, 'no role'), ')'
        ) AS label
    FROM mainly AS m
    LEFT JOIN head_patterns AS p USING (dest_role, src_role)
    GROUP BY m.layer, m.head, m.dest_role, m.src_role
),
steps AS (
    SELECT
        g.layer, g.head, g.dest_role, g.up_layer, g.up_head, g.role AS up_role,
        g.effect * g.n_prompts / (SELECT count(*) FROM prompts) AS strength
    FROM linked('graph_edges', 'trace_edges') AS g
    JOIN mainly AS m ON m.layer = g.up_layer AND m.head = g.up_head AND m.dest_role = g.role
    WHERE g.component = 'head'
        AND count_of($count, g.n_prompts, g.n_firings, g.n_visits) >= shown_count($min_share, $min_count)
),
walk AS (
    SELECT
        root[1] AS root_layer, root[2] AS root_head, place, root[1] AS layer, root[2] AS head,
        $root_dest::VARCHAR AS dest_role, 0::DOUBLE AS total, NULL::DOUBLE AS weakest,
        [{layer: root[1], head: root[2], dest_role: $root_dest::VARCHAR}] AS heads
    FROM (
        SELECT
            unnest(roots::INTEGER[][]) AS root,
            generate_subscripts(roots::INTEGER[][], 1) AS place
        FROM run
    )
    UNION ALL
    SELECT
        w.root_layer, w.root_head, w.place, s.up_layer::INTEGER, s.up_head::INTEGER, s.up_role,
        w.total + s.strength, least(w.weakest, s.strength),
        list_prepend(
            {layer: s.up_layer::INTEGER, head: s.up_head::INTEGER, dest_role: s.up_role}, w.heads
        )
    FROM walk AS w
    JOIN steps AS s USING (layer, head, dest_role)
    WHERE s.strength >= $min_effect
    QUALIFY row_number() OVER (
        PARTITION BY w.place, s.up_layer, s.up_head, s.up_role ORDER BY w.total + s.strength DESC, w.heads
    ) = 1
),
strongest AS (
    FROM walk
    QUALIFY row_number() OVER (PARTITION BY place ORDER BY total DESC, heads) = 1
),
links_of AS (
    SELECT
        place, root_layer, root_head, total, weakest,
        unnest(heads) AS link, generate_subscripts(heads, 1) AS step
    FROM strongest
)
SELECT
    l.root_layer AS layer, l.root_head AS head,
    count(*) AS n_heads, l.total, l.weakest,
    string_agg(
        coalesce(n.label, concat(l.link.layer, '.', l.link.head)), ' > ' ORDER BY l.step
    ) AS chain
FROM links_of AS l
LEFT JOIN named AS n
    ON n.layer = l.link.layer AND n.head = l.link.head AND n.dest_role = l.link.dest_role
GROUP BY l.place, l.root_layer, l.root_head, l.total, l.weakest
ORDER BY l.place;
