-- purpose: histograms of the cosine similarity and norm ratio of vectors after an intervention to before
-- params: bins INTEGER{1..10000} number of equal bins between the smallest and the largest value of a measure [= 40]
-- grain: [arrangement, scope, measure, kind, control, bin]; empty bins have no row
-- columns: arrangement, scope, measure, kind, control, bin, low, high, n, share
-- `arrangement` is single (an edge: a value for each pair) or set (a value for each prompt, averaged over its pairs).
-- `measure` is a column of intervention_effects: cosine, norm_ratio, resid_cosine or resid_norm_ratio. Bins are the
-- same for all kinds and controls of an arrangement, scope and measure; `share` is n divided by the sum of the
-- histogram's n.
WITH changes AS (
    SELECT
        CASE WHEN i.layer IS NULL THEN 'set' ELSE 'single' END AS arrangement,
        i.scope, i.kind, i.control, i.intervention_id, e.prompt_id,
        CASE WHEN i.layer IS NOT NULL THEN e.pair_id END AS pair_id,
        avg(e.cosine) AS cosine,
        avg(e.norm_ratio) AS norm_ratio,
        avg(e.resid_cosine) AS resid_cosine,
        avg(e.resid_norm_ratio) AS resid_norm_ratio
    FROM intervention_effects AS e
    JOIN interventions AS i USING (intervention_id)
    GROUP BY ALL
),
measured AS (
    SELECT
        arrangement, scope, kind, control,
        unnest(['cosine', 'norm_ratio', 'resid_cosine', 'resid_norm_ratio']) AS measure,
        unnest([cosine, norm_ratio, resid_cosine, resid_norm_ratio]) AS value
    FROM changes
),
ranges AS (
    SELECT
        arrangement, scope, measure,
        min(value) AS least,
        (max(value) - min(value)) / $bins AS width
    FROM measured
    WHERE isfinite(value)
    GROUP BY arrangement, scope, measure
),
counted AS (
    SELECT
        m.arrangement, m.scope, m.measure, m.kind, m.control,
        least(coalesce(floor((m.value - r.least) / nullif(r.width, 0)), 0), $bins - 1)::INTEGER AS bin,
        any_value(r.least) AS least,
        any_value(r.width) AS width,
        count(*) AS n
    FROM measured AS m
    JOIN ranges AS r
        ON r.arrangement = m.arrangement AND r.scope = m.scope AND r.measure = m.measure
    WHERE isfinite(m.value)
    GROUP BY ALL
)
SELECT
    arrangement, scope, measure, kind, control, bin,
    least + bin * width AS low,
    least + (bin + 1) * width AS high,
    n,
    n / sum(n) OVER (PARTITION BY arrangement, scope, measure, kind, control) AS share
FROM counted
ORDER BY arrangement DESC, scope, measure, kind, control, bin;
