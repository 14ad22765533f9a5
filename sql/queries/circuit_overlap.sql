-- purpose: Jaccard index of the traced edges of two prompts, over pairs of prompts
-- params: n_prompts INTEGER largest number of prompts to compare; of more, this many are drawn [= 512]
--         seed INTEGER seed of that draw [= 0]
--         min_share DOUBLE only edges in at least this share of the prompts [= 0]
-- grain: [kind of pair of prompts]
-- columns: pairs, n_pairs, mean, low, first_quarter, median, last_quarter, high
-- The Jaccard index is the number of edges in both prompts over the number in either, null if neither has any. `pairs`
-- is all, or the pairs with the same or different template or order of names; `low` and `high` are the 2.5% and 97.5%
-- quantiles over pairs. Edges to tokens without a role are left out, as in the graph. Drawn prompts are the first in
-- the order of a hash of (seed, prompt).
WITH chosen AS (
    SELECT prompt_id, template, pattern
    FROM prompts
    ORDER BY md5(concat_ws(',', $seed, prompt_id)), prompt_id
    LIMIT $n_prompts
),
numbered AS (
    SELECT
        prompt_id,
        dense_rank() OVER (
            ORDER BY up_layer, up_head, component, layer, head, side, role
        ) AS edge
    FROM edge_prompts('trace_edges')
),
edges AS MATERIALIZED (
    SELECT prompt_id, edge
    FROM numbered
    QUALIFY count(*) OVER (PARTITION BY edge)
        >= $min_share * (SELECT count(*) FROM prompts) - 1e-9
),
sizes AS (
    SELECT c.prompt_id, c.template, c.pattern, count(e.edge) AS n_edges
    FROM chosen AS c
    LEFT JOIN edges AS e USING (prompt_id)
    GROUP BY ALL
),
shared AS (
    SELECT a.prompt_id AS one, b.prompt_id AS other, count(*) AS n_common
    FROM edges AS a
    SEMI JOIN chosen AS c ON c.prompt_id = a.prompt_id
    JOIN edges AS b ON b.edge = a.edge AND b.prompt_id > a.prompt_id
    GROUP BY a.prompt_id, b.prompt_id
),
compared AS (
    SELECT
        a.template = b.template AS same_template,
        a.pattern = b.pattern AS same_pattern,
        coalesce(s.n_common, 0) AS n_shared,
        n_shared / nullif(a.n_edges + b.n_edges - n_shared, 0) AS jaccard
    FROM sizes AS a
    JOIN sizes AS b ON b.prompt_id > a.prompt_id
    LEFT JOIN shared AS s ON s.one = a.prompt_id AND s.other = b.prompt_id
),
kinds AS (
    SELECT
        unnest([
            'all',
            CASE same_template WHEN true THEN 'same template' WHEN false THEN 'different templates' END,
            CASE same_pattern WHEN true THEN 'same pattern' WHEN false THEN 'different patterns' END
        ]) AS pairs,
        jaccard
    FROM compared
    WHERE jaccard IS NOT NULL
)
SELECT
    pairs,
    count(*) AS n_pairs,
    sum(jaccard ORDER BY jaccard) / count(*) AS mean,
    quantile_cont(jaccard, 0.025) AS low,
    quantile_cont(jaccard, 0.25) AS first_quarter,
    quantile_cont(jaccard, 0.5) AS median,
    quantile_cont(jaccard, 0.75) AS last_quarter,
    quantile_cont(jaccard, 0.975) AS high
FROM kinds
WHERE pairs IS NOT NULL
GROUP BY pairs
ORDER BY
    list_position(
        ['all', 'same template', 'different templates', 'same pattern', 'different patterns'], pairs
    );
