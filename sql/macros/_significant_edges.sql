-- significant_edges: the significant upstream components of pairs, side by side
-- grain: [pair, side, component]
-- `pairs_table` names a relation with the column pair_id, each once: only these pairs are ordered. Sorted by
-- contribution, the shortest prefix whose sum exceeds coverage * total is kept; a total that is not positive keeps
-- nothing, or its top component. The offset is a constant of the heads: it is added to each of them, and to no other
-- component.
CREATE OR REPLACE TEMP MACRO significant_edges(
    pairs_table, coverage, slice_rule, nonpositive_rule, component_rule, offset_rule
) AS TABLE
WITH offsets AS (
    SELECT
        p.pair_id,
        CASE slice_rule WHEN 'all' THEN p.dest_offset_all ELSE p.dest_offset END AS dest_offset,
        CASE slice_rule WHEN 'all' THEN p.src_offset_all ELSE p.src_offset END AS src_offset
    FROM query_table(pairs_table) AS w
    JOIN pairs AS p USING (pair_id)
    WHERE offset_rule = 'include'
),
totals AS (
    SELECT
        u.pair_id, u.side,
        CASE u.side WHEN 'dest' THEN any_value(o.dest_offset) ELSE any_value(o.src_offset) END AS offset_each,
        sum(list_sum(CASE slice_rule WHEN 'all' THEN u.contributions_all ELSE u.contributions END))
        + coalesce(offset_each * max(list_count(u.contributions)) FILTER (u.component = 'head'), 0) AS total
    FROM pair_upstream AS u
    JOIN query_table(pairs_table) AS w USING (pair_id)
    LEFT JOIN offsets AS o USING (pair_id)
    WHERE component_rule = 'all' OR u.component = 'head'
    GROUP BY u.pair_id, u.side
),
-- below 0 nothing is kept of a positive total, since what is ranked above is more than the total
candidates AS (
    SELECT
        u.pair_id, u.side, u.component, u.up_layer, u.up_head, t.total,
        CASE slice_rule WHEN 'all' THEN u.contribution_all ELSE u.contribution END AS raw,
        raw::DOUBLE + CASE u.component WHEN 'head' THEN coalesce(t.offset_each, 0) ELSE 0 END AS value
    FROM upstream AS u
    JOIN totals AS t ON t.pair_id = u.pair_id AND t.side = u.side
    WHERE (component_rule = 'all' OR u.component = 'head')
        AND CASE WHEN t.total > 0 THEN value >= 0 ELSE nonpositive_rule = 'top' END
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
    o.component, o.up_layer, o.up_head, o.value AS contribution
FROM ordered AS o
JOIN pairs AS p USING (pair_id)
WHERE CASE WHEN o.total > 0 THEN o.value_before <= coverage * o.total ELSE o.place = 1 END;
