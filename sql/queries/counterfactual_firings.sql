-- purpose: share of the prompts in which a head fires, and the same for their counterfactual prompts (--other)
-- params: firing_weight DOUBLE smallest attention weight of a firing [= trace.firing_weight]
--         min_rate DOUBLE only firings with at least this rate in either store [= 0.25]
-- grain: [head, dest role, src role]; null is a token without a role
-- columns: layer, head, dest_role, src_role, n_prompts, n_original, n_counterfactual, n_both, rate,
--          counterfactual_rate, change
-- A prompt counts if this store has the original that a prompt of the other store names (dataset.counterfactual).
-- `n_prompts` is their number; `n_original`, `n_counterfactual` and `n_both` are the prompts with the firing in the
-- original, in the counterfactual and in both. `rate` is n_original / n_prompts, `change` is counterfactual_rate -
-- rate; rows are in descending order of its size.
WITH linked AS (
    SELECT p.prompt_id, c.prompt_id AS other_id
    FROM prompts AS p
    JOIN other_store.prompts AS c ON c.original_id = p.prompt_id AND c.original = p.text
),
fired AS (
    SELECT false AS is_other, l.prompt_id, p.layer, p.head, d.role AS dest_role, s.role AS src_role
    FROM linked AS l
    JOIN pairs AS p USING (prompt_id)
    LEFT JOIN roles AS d ON d.prompt_id = p.prompt_id AND d.pos = p.dest
    LEFT JOIN roles AS s ON s.prompt_id = p.prompt_id AND s.pos = p.src
    WHERE p.eligible AND p.weight >= $firing_weight
    UNION ALL
    SELECT true AS is_other, l.prompt_id, p.layer, p.head, d.role AS dest_role, s.role AS src_role
    FROM linked AS l
    JOIN other_store.pairs AS p ON p.prompt_id = l.other_id
    LEFT JOIN other_store.roles AS d ON d.prompt_id = p.prompt_id AND d.pos = p.dest
    LEFT JOIN other_store.roles AS s ON s.prompt_id = p.prompt_id AND s.pos = p.src
    WHERE p.eligible AND p.weight >= $firing_weight
),
by_prompt AS (
    SELECT
        layer, head, dest_role, src_role, prompt_id,
        bool_or(NOT is_other) AS here,
        bool_or(is_other) AS there
    FROM fired
    GROUP BY layer, head, dest_role, src_role, prompt_id
),
counted AS (
    SELECT
        layer, head, dest_role, src_role,
        (SELECT count(*) FROM linked) AS n_prompts,
        count_if(here) AS n_original,
        count_if(there) AS n_counterfactual,
        count_if(here AND there) AS n_both
    FROM by_prompt
    GROUP BY layer, head, dest_role, src_role
)
SELECT
    layer, head, dest_role, src_role, n_prompts, n_original, n_counterfactual, n_both,
    n_original / n_prompts AS rate,
    n_counterfactual / n_prompts AS counterfactual_rate,
    counterfactual_rate - rate AS change
FROM counted
WHERE greatest(n_original, n_counterfactual) >= $min_rate * n_prompts
ORDER BY abs(change) DESC, layer, head, dest_role, src_role;
