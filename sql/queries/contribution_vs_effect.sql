-- purpose: agreement of contributions with exact effects: do the largest contributions have the largest effects?
-- params: firing_weight DOUBLE smallest attention weight of a firing [= trace.firing_weight]
--         first_prompts INTEGER{1..1000000} number of prompts, from the first, whose firings are compared [= 16]
--         layer INTEGER only pairs of this layer [= null]
--         head INTEGER only pairs of this head [= null]
-- grain: [side, layer, head, min_effect, coverage]; layer and head are null in the rows for all heads
-- columns: side, layer, head, min_effect, coverage, n_pairs, spearman, n_kept, n_matter, n_hits, precision,
--          recall
-- needs: dump.effects
-- A component is kept at a coverage if the components with larger contributions reach at most that share of the total
-- (over signal slices, without the offset); `coverage` runs over a grid. A component matters if its removal lowers the
-- weight by at least min_effect. `n_hits` of the `n_kept` components matter, of `n_matter` in all. `spearman` is the
-- rank correlation of contributions with effects, averaged over (pair, side), with mean ranks for ties; it is the same
-- in every row of a (side, layer, head).
WITH firing AS (
    SELECT pair_id, layer, head, weight
    FROM pairs
    WHERE eligible AND weight >= $firing_weight
        AND prompt_id IN (SELECT prompt_id FROM prompts ORDER BY prompt_id LIMIT $first_prompts)
        AND layer = coalesce($layer::INTEGER, layer) AND head = coalesce($head::INTEGER, head)
),
written AS (
    SELECT
        f.pair_id, u.side, f.layer, f.head,
        unnest(u.contributions)::DOUBLE AS contribution,
        f.weight - unnest(u.weights_without) / 65535 AS effect,
        generate_subscripts(u.contributions, 1) AS writer
    FROM firing AS f
    JOIN pair_upstream AS u USING (pair_id)
    WHERE u.component = 'head' AND u.weights_without IS NOT NULL
),
ordered AS (
    SELECT
        *,
        sum(contribution) OVER (falling ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS total,
        sum(contribution) OVER (falling ROWS UNBOUNDED PRECEDING) - contribution AS before,
        rank() OVER (every_writer ORDER BY contribution)
            + count(*) OVER (PARTITION BY pair_id, side, contribution) / 2 AS by_contribution,
        rank() OVER (every_writer ORDER BY effect)
            + count(*) OVER (PARTITION BY pair_id, side, effect) / 2 AS by_effect
    FROM written
    WHERE contribution IS NOT NULL
    WINDOW
        every_writer AS (PARTITION BY pair_id, side),
        falling AS (every_writer ORDER BY contribution DESC, writer)
),
correlated AS (
    SELECT pair_id, side, layer, head, nullif(corr(by_contribution, by_effect ORDER BY by_contribution, by_effect), 'nan'::DOUBLE) AS spearman
    FROM ordered
    GROUP BY pair_id, side, layer, head
),
correlation AS (
    SELECT side, layer, head, count(*) AS n_pairs, avg(spearman ORDER BY spearman) AS spearman
    FROM correlated
    GROUP BY GROUPING SETS ((side), (side, layer, head))
),
-- smallest coverage, in twentieths of the total, at which a head is kept; null if there is none
stepped AS (
    SELECT
        side, layer, head, effect,
        CASE WHEN total > 0 AND contribution >= 0 THEN greatest(ceil(20 * before / total - 1e-9), 0) END AS step
    FROM ordered
),
counted AS (
    SELECT
        side, layer, head, step, min_effect,
        count(*) AS n, count(*) FILTER (WHERE effect >= min_effect) AS n_mattering
    FROM stepped, (SELECT unnest([0.02, 0.05, 0.1]) AS min_effect)
    GROUP BY GROUPING SETS ((side, step, min_effect), (side, layer, head, step, min_effect))
),
grid AS (
    SELECT unnest(range(1, 21)) AS upto
),
summed AS (
    SELECT
        c.side, c.layer, c.head, c.min_effect, g.upto / 20 AS coverage,
        coalesce(sum(c.n) FILTER (WHERE c.step <= g.upto), 0)::BIGINT AS n_kept,
        sum(c.n_mattering)::BIGINT AS n_matter,
        coalesce(sum(c.n_mattering) FILTER (WHERE c.step <= g.upto), 0)::BIGINT AS n_hits
    FROM counted AS c, grid AS g
    GROUP BY c.side, c.layer, c.head, c.min_effect, g.upto
)
SELECT
    s.side, s.layer, s.head, s.min_effect::DOUBLE AS min_effect, s.coverage, c.n_pairs, c.spearman,
    s.n_kept, s.n_matter, s.n_hits,
    s.n_hits / nullif(s.n_kept, 0) AS precision,
    s.n_hits / nullif(s.n_matter, 0) AS recall
FROM summed AS s
JOIN correlation AS c
    ON c.side = s.side AND c.layer IS NOT DISTINCT FROM s.layer AND c.head IS NOT DISTINCT FROM s.head
ORDER BY s.layer NULLS FIRST, s.head, s.side, s.min_effect, s.coverage;
