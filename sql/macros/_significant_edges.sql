-- significant_edges: the significant upstream components of pairs, for each side
-- grain: [pair, side, component]
-- `lists_table` names the rows of pair_upstream of the pairs in question, the only ones that are ordered. `effect` is
-- the attention weight that the pair loses without the component; null where it is not stored.
-- edge_rule 'coverage': the shortest prefix in descending order of contribution whose sum exceeds coverage * total;
-- where the total is not positive, nothing or the top component. The offset is a constant that is added to each head
-- and to no other component.
-- edge_rule 'effect': every component with an effect of at least min_effect, for any contribution.
CREATE OR REPLACE TEMP MACRO significant_edges(
    lists_table, coverage, slice_rule, nonpositive_rule, component_rule, offset_rule,
    edge_rule := 'coverage', min_effect := 0
) AS TABLE
WITH valued AS (
    SELECT
        u.pair_id, u.side, u.component, p.weight, u.weights_without,
        CASE slice_rule WHEN 'all' THEN u.contributions_all ELSE u.contributions END AS contributions,
        CASE
            WHEN offset_rule = 'exclude' OR u.component <> 'head' THEN 0::DOUBLE
            WHEN slice_rule = 'signal' AND u.side = 'dest' THEN p.dest_offset
            WHEN slice_rule = 'signal' THEN p.src_offset
            WHEN u.side = 'dest' THEN p.dest_offset_all
            ELSE p.src_offset_all
        END AS offset_each
    FROM query_table(lists_table) AS u
    JOIN pairs AS p USING (pair_id)
    WHERE component_rule = 'all' OR u.component = 'head'
),
totals AS (
    SELECT pair_id, side, sum(list_sum(contributions) + offset_each * list_count(contributions)) AS total
    FROM valued
    GROUP BY pair_id, side
),
-- A component that is kept has less than coverage * total above it. So where the largest 4 or 16 of a list exceed that,
-- smaller ones are not ordered; and negative ones never, which everything above them exceeds.
bounded AS (
    SELECT
        v.*, t.total, list_reverse_sort(v.contributions) AS falling,
        1.000000001 * coverage * t.total AS most,
        CASE
            WHEN list_sum(falling[:4]) + 4 * v.offset_each > most THEN coalesce(falling[4] + v.offset_each, 0)
            WHEN list_sum(falling[:16]) + 16 * v.offset_each > most THEN coalesce(falling[16] + v.offset_each, 0)
            ELSE 0
        END AS least
    FROM valued AS v
    JOIN totals AS t ON t.pair_id = v.pair_id AND t.side = v.side
),
candidates AS (
    SELECT
        b.pair_id, b.side, b.component, w.up_layer, w.up_head, b.total,
        b.contributions[w.writer + 1] AS raw,
        raw + b.offset_each AS value,
        b.weight - b.weights_without[w.writer + 1] / 65535 AS effect
    FROM bounded AS b
    JOIN writers AS w ON w.component = b.component AND w.writer < len(b.contributions)
    WHERE CASE
        WHEN edge_rule = 'effect' THEN effect >= min_effect
        WHEN b.total > 0 THEN value >= greatest(b.least, 0)
        ELSE nonpositive_rule = 'top' AND raw IS NOT NULL
    END
),
ordered AS (
    SELECT
        *,
        row_number() OVER falling AS place,
        sum(value) OVER (falling ROWS UNBOUNDED PRECEDING) - value AS value_before
    FROM candidates
    WINDOW falling AS (
        PARTITION BY pair_id, side
        ORDER BY value DESC, raw DESC, up_layer NULLS FIRST, up_head NULLS FIRST, component
    )
)
SELECT
    o.pair_id, p.prompt_id, p.layer, p.head, p.dest, p.src, o.side,
    CASE o.side WHEN 'dest' THEN p.dest ELSE p.src END AS pos,
    o.component, o.up_layer, o.up_head, o.value AS contribution,
    o.effect::FLOAT AS effect
FROM ordered AS o
JOIN pairs AS p USING (pair_id)
WHERE CASE
    WHEN edge_rule = 'effect' THEN true
    WHEN o.total > 0 THEN o.value_before <= coverage * o.total
    ELSE o.place = 1
END;
