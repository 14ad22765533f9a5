-- every upstream component belongs to a pair and lies below it, with the columns that its kind has
SELECT u.pair_id, u.side, u.component, u.up_layer, u.up_head, p.layer
FROM upstream AS u
LEFT JOIN pairs AS p USING (pair_id)
WHERE p.pair_id IS NULL
    OR u.up_layer >= p.layer
    OR (u.up_layer IS NULL) <> (u.component IN ('embed', 'pos_embed'))
    OR (u.up_head IS NULL) <> (u.component <> 'head')
    OR (u.rank IS NULL) <> (u.component <> 'head')
    OR (u.cum_before IS NULL) <> (u.component <> 'head');
