-- purpose: the heads that trace.roots=auto selects as roots
-- params: firing_weight DOUBLE smallest attention weight of a firing [= trace.firing_weight]
--         root_dest VARCHAR role of the token that roots attend from [= trace.root_dest]
-- grain: [root]
-- columns: layer, head, mean_effect, share_of_prompts
-- A root fires from root_dest in at least half of the prompts. Heads with a positive mean effect on the logit
-- difference are taken in descending order until they reach half of the sum of all heads' positive effects.
WITH mean_effects AS (
    SELECT layer, head, avg(logit_diff_effect) AS mean_effect
    FROM head_effects
    GROUP BY layer, head
),
firing AS (
    SELECT
        p.layer, p.head,
        count(DISTINCT p.prompt_id) / (SELECT count(*) FROM prompts) AS share_of_prompts
    FROM pairs AS p
    JOIN roles AS d ON d.prompt_id = p.prompt_id AND d.pos = p.dest AND d.role = $root_dest
    WHERE p.eligible AND p.weight >= $firing_weight
    GROUP BY p.layer, p.head
),
ordered AS (
    SELECT
        layer, head, mean_effect, share_of_prompts,
        coalesce(
            sum(mean_effect) OVER (
                ORDER BY mean_effect DESC, layer, head
                ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
            ),
            0
        ) AS carried_before
    FROM mean_effects
    JOIN firing USING (layer, head)
    WHERE share_of_prompts >= 0.5 AND mean_effect > 0
)
SELECT layer, head, mean_effect, share_of_prompts
FROM ordered
WHERE carried_before < 0.5 * (SELECT sum(mean_effect) FROM mean_effects WHERE mean_effect > 0)
ORDER BY mean_effect DESC, layer, head;
