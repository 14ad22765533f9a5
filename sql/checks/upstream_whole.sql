-- every side has the lists of every component in a layer below its pair, with a finite entry for each writer; those
-- over all slices exist with dump.all_slices, the weights without each writer with dump.effects
WITH below AS (
    SELECT l.layer, w.component, count(*) AS n
    FROM (SELECT DISTINCT layer FROM pairs) AS l
    JOIN writers AS w ON w.up_layer IS NULL OR w.up_layer < l.layer
    GROUP BY l.layer, w.component
),
expected AS (
    SELECT s.pair_id, s.side, b.component, b.n
    FROM sides AS s
    JOIN pairs AS p USING (pair_id)
    JOIN below AS b USING (layer)
),
stored AS (
    SELECT
        pair_id, side, component, count(*) AS n_lists,
        min(list_count(contributions)) AS fewest, max(len(contributions)) AS most,
        bool_and(isfinite(list_sum(contributions))) AS finite,
        bool_and(len(contributions_all) IS NOT DISTINCT FROM CASE WHEN all_slices THEN len(contributions) END)
        AND bool_and(len(weights_without) IS NOT DISTINCT FROM CASE WHEN effects THEN len(contributions) END)
        AND bool_and(list_count(weights_without) IS NOT DISTINCT FROM len(weights_without)) AS alike
    FROM pair_upstream, (
        SELECT
            coalesce((config->>'$.dump.all_slices')::BOOLEAN, false) AS all_slices,
            coalesce((config->>'$.dump.effects')::BOOLEAN, false) AS effects
        FROM dump
    )
    GROUP BY pair_id, side, component
)
SELECT pair_id, side, component, e.n, s.n_lists, s.fewest, s.most, s.finite, s.alike
FROM expected AS e
FULL JOIN stored AS s USING (pair_id, side, component)
WHERE e.n IS NULL OR s.n_lists IS DISTINCT FROM 1 OR s.fewest <> e.n OR s.most <> e.n
    OR NOT s.finite OR NOT s.alike;
