-- bootstrapped: means over prompts with 95% intervals of a Poisson bootstrap
-- grain: [series]
-- `values_table` names a relation with series, repeat, prompt_id and value. The mean of a series is over its values
-- that are not null. A draw weights each prompt by bootstrap_weight, equally in every series, and likewise each repeat
-- (the seed of a random control), if there are any; the interval is from 2.5% to 97.5% of the draws' means. Values are
-- lists in the order of the prompts, so that the mean of a draw is a product of lists; a list of ones and zeros marks
-- the values that exist.
CREATE OR REPLACE TEMP MACRO bootstrapped(values_table, n_draws, draw_seed) AS TABLE
WITH measured AS (
    SELECT series, repeat, prompt_id, value FROM query_table(values_table) WHERE value IS NOT NULL
),
drawn_prompts AS (
    SELECT DISTINCT prompt_id FROM measured
),
prompt_weights AS (
    SELECT
        draw,
        list(bootstrap_weight(draw_seed, draw, prompt_id)::DOUBLE ORDER BY prompt_id) AS weights
    FROM range(n_draws) AS d(draw), drawn_prompts
    GROUP BY draw
),
repeat_weights AS (
    SELECT
        draw, repeat,
        CASE
            WHEN repeat IS NULL THEN 1
            ELSE bootstrap_weight(draw_seed, draw, concat('repeat ', repeat))
        END AS weight
    FROM range(n_draws) AS d(draw), (SELECT DISTINCT repeat FROM measured)
),
samples AS MATERIALIZED (
    SELECT
        s.series, s.repeat,
        list(coalesce(g.value, 0)::DOUBLE ORDER BY p.prompt_id) AS sample,
        list((g.value IS NOT NULL)::INTEGER::DOUBLE ORDER BY p.prompt_id) AS present
    FROM (SELECT DISTINCT series, repeat FROM measured) AS s
    CROSS JOIN drawn_prompts AS p
    LEFT JOIN measured AS g
        ON g.series = s.series AND g.repeat IS NOT DISTINCT FROM s.repeat
        AND g.prompt_id = p.prompt_id
    GROUP BY s.series, s.repeat
),
sums AS (
    SELECT
        s.series, s.repeat, w.draw,
        list_dot_product(s.sample, w.weights) AS total,
        list_dot_product(s.present, w.weights) AS n
    FROM samples AS s, prompt_weights AS w
),
drawn AS (
    SELECT
        s.series, s.draw,
        sum(w.weight * s.total ORDER BY s.repeat) / nullif(sum(w.weight * s.n), 0) AS mean
    FROM sums AS s
    JOIN repeat_weights AS w ON w.draw = s.draw AND w.repeat IS NOT DISTINCT FROM s.repeat
    GROUP BY s.series, s.draw
),
intervals AS (
    SELECT
        series,
        quantile_cont(mean, 0.025) AS low,
        quantile_cont(mean, 0.975) AS high
    FROM drawn
    GROUP BY series
),
means AS (
    SELECT
        series,
        sum(list_sum(sample) ORDER BY repeat) / sum(list_sum(present)) AS mean,
        count(repeat) AS n_repeats
    FROM samples
    GROUP BY series
)
SELECT series, mean, low, high, n_repeats
FROM means
LEFT JOIN intervals USING (series);
