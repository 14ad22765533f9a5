-- purpose: mean contribution of every upstream component to one side of a head's firings
-- params: layer INTEGER layer of the head that fires
--         head INTEGER the head in its layer
--         side VARCHAR{dest,src} token that is written to
--         role VARCHAR only firings in which that token has this role, or any [= any]
--         firing_weight DOUBLE smallest attention weight of a firing [= trace.firing_weight]
--         coverage DOUBLE share of the total that the significant components exceed [= trace.coverage]
-- grain: [upstream component]; n_significant is the number of firings in which a head is significant over signal
--        slices, without the offset; effect is the mean loss of attention weight by its removal
-- columns: component, up_layer, up_head, n_firings, n_significant, contribution, contribution_all, effect
WITH firing AS (
    SELECT p.pair_id, p.weight
    FROM pairs AS p
    LEFT JOIN roles AS r
        ON r.prompt_id = p.prompt_id AND r.pos = CASE $side WHEN 'dest' THEN p.dest ELSE p.src END
    WHERE p.layer = $layer AND p.head = $head AND p.eligible AND p.weight >= $firing_weight
        AND ($role = 'any' OR r.role = $role)
),
-- The rows of pair_upstream, which is most of a store, are read once; `upstream` would read them again.
firing_lists AS MATERIALIZED (
    SELECT * FROM pair_upstream SEMI JOIN firing USING (pair_id) WHERE side::VARCHAR = $side
),
significant AS (
    SELECT up_layer, up_head, count(*) AS n_significant
    FROM significant_edges('firing_lists', $coverage, 'signal', 'none', 'head', 'exclude')
    GROUP BY up_layer, up_head
),
means AS (
    SELECT
        u.component, w.up_layer, w.up_head,
        count(*) AS n_firings,
        avg(u.contributions[w.writer + 1]) AS contribution,
        avg(u.contributions_all[w.writer + 1]) AS contribution_all,
        avg(firing.weight - (u.weights_without[w.writer + 1] / 65535)::FLOAT) AS effect
    FROM firing_lists AS u
    JOIN firing USING (pair_id)
    JOIN writers AS w ON w.component = u.component AND w.writer < len(u.contributions)
    WHERE u.contributions[w.writer + 1] IS NOT NULL
    GROUP BY u.component, w.up_layer, w.up_head
)
SELECT
    u.component, u.up_layer, u.up_head, u.n_firings,
    coalesce(s.n_significant, 0) AS n_significant,
    u.contribution, u.contribution_all, u.effect
FROM means AS u
LEFT JOIN significant AS s
    ON u.component = 'head' AND s.up_layer = u.up_layer AND s.up_head = u.up_head
ORDER BY u.contribution DESC, u.component, u.up_layer, u.up_head;
