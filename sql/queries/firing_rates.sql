-- purpose: share of the prompts of each template or order of names in which a head fires
-- params: by VARCHAR{template,pattern} groups of prompts: by template or by order of names [= template]
--         firing_weight DOUBLE smallest attention weight of a firing [= trace.firing_weight]
--         min_rate DOUBLE only firings with at least this rate in some group [= 0]
--         traced BOOLEAN only pairs that the run's trace reaches [= false]
-- grain: [head, dest role, src role, group]; null is a token without a role
-- columns: layer, head, dest_role, src_role, prompt_group, n_in_group, n_prompts, rate, mean_weight
-- `rate` is n_prompts / n_in_group; `mean_weight` is the mean attention weight of the firings. A firing of any group
-- has a row for every group.
WITH prompts_grouped AS (
    FROM prompt_groups($by)
),
fired AS (
    SELECT
        p.layer, p.head, d.role AS dest_role, s.role AS src_role, g.prompt_group,
        count(DISTINCT p.prompt_id) AS n_prompts,
        sum(p.weight::DOUBLE ORDER BY p.pair_id) / count(*) AS mean_weight
    FROM pairs AS p
    JOIN prompts_grouped AS g USING (prompt_id)
    LEFT JOIN roles AS d ON d.prompt_id = p.prompt_id AND d.pos = p.dest
    LEFT JOIN roles AS s ON s.prompt_id = p.prompt_id AND s.pos = p.src
    WHERE p.eligible AND p.weight >= $firing_weight
        AND (NOT $traced OR p.pair_id IN (SELECT pair_id FROM trace_pairs))
    GROUP BY p.layer, p.head, d.role, s.role, g.prompt_group
),
firings AS (
    SELECT DISTINCT layer, head, dest_role, src_role FROM fired
),
rates AS (
    SELECT
        f.layer, f.head, f.dest_role, f.src_role, g.prompt_group, g.n_in_group,
        coalesce(r.n_prompts, 0) AS n_prompts,
        coalesce(r.n_prompts, 0) / g.n_in_group AS rate,
        r.mean_weight
    FROM firings AS f
    CROSS JOIN (SELECT DISTINCT prompt_group, n_in_group FROM prompts_grouped) AS g
    LEFT JOIN fired AS r
        ON r.layer = f.layer AND r.head = f.head AND r.prompt_group = g.prompt_group
        AND r.dest_role IS NOT DISTINCT FROM f.dest_role
        AND r.src_role IS NOT DISTINCT FROM f.src_role
)
SELECT
    layer, head, dest_role, src_role, prompt_group, n_in_group, n_prompts, rate, mean_weight
FROM rates
QUALIFY max(rate) OVER (PARTITION BY layer, head, dest_role, src_role) >= $min_rate
ORDER BY layer, head, dest_role, src_role, prompt_group;
