-- Step 4 of svt.query.edges: the traced pairs that each edge of `chosen_edges` changes; `edge` is its number
-- grain: [edge, pair]
SELECT
    e.edge, p.pair_id, p.prompt_id, p.layer, p.head, p.dest, p.src, e.side, e.up_layer, e.up_head
FROM chosen_edges AS e
JOIN store.pairs AS p ON p.layer = e.layer AND p.head = e.head
SEMI JOIN results.trace_pairs AS t ON t.pair_id = p.pair_id
LEFT JOIN results.places AS d ON d.prompt_id = p.prompt_id AND d.pos = p.dest
LEFT JOIN results.places AS s ON s.prompt_id = p.prompt_id AND s.pos = p.src
WHERE NOT p.sampled
    AND (e.dest_role IS NULL OR e.dest_role = d.role)
    AND (e.src_role IS NULL OR e.src_role = s.role)
ORDER BY e.edge, p.pair_id;
