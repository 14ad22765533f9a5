-- purpose: heads that distinguish families of prompts, by how often they fire in the traces of each family
-- params: min_difference DOUBLE smallest absolute difference of the two shares [= 0.25]
-- grain: [family, head, dest role, src role]
-- columns: family, n_in_family, layer, head, dest_role, src_role, n_prompts, share, share_others, difference
-- `n_prompts` counts the prompts whose trace reaches the firing; `share` is n_prompts / n_in_family, `share_others` the
-- same over the prompts of all other families. There are no rows with a single family.
WITH sizes AS (
    SELECT family, count(*) AS n_in_family, sum(count(*)) OVER () - count(*) AS n_others
    FROM families
    GROUP BY family
),
fired AS (
    SELECT DISTINCT t.prompt_id, f.family, p.layer, p.head, d.role AS dest_role, s.role AS src_role
    FROM trace_pairs AS t
    JOIN families AS f USING (prompt_id)
    JOIN pairs AS p USING (pair_id)
    LEFT JOIN places AS d ON d.prompt_id = p.prompt_id AND d.pos = p.dest
    LEFT JOIN places AS s ON s.prompt_id = p.prompt_id AND s.pos = p.src
),
totals AS (
    SELECT layer, head, dest_role, src_role, count(*) AS n_all FROM fired GROUP BY ALL
),
counted AS (
    SELECT z.family, z.n_in_family, z.n_others, t.*, count(f.prompt_id) AS n_prompts
    FROM sizes AS z
    CROSS JOIN totals AS t
    LEFT JOIN fired AS f
        ON f.family = z.family AND f.layer = t.layer AND f.head = t.head
        AND f.dest_role IS NOT DISTINCT FROM t.dest_role AND f.src_role IS NOT DISTINCT FROM t.src_role
    GROUP BY ALL
)
SELECT
    family, n_in_family, layer, head, dest_role, src_role, n_prompts,
    n_prompts / n_in_family AS share,
    (n_all - n_prompts) / n_others AS share_others,
    share - share_others AS difference
FROM counted
WHERE n_others > 0 AND abs(share - share_others) >= $min_difference
ORDER BY family, abs(difference) DESC, layer, head, dest_role, src_role;
