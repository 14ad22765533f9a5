-- the writers of a component are numbered from 0 by layer and head, complete for the model, with the columns of its
-- kind
WITH placed AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY component ORDER BY up_layer, up_head) - 1 AS place,
        count(*) OVER (PARTITION BY component) AS n
    FROM writers
)
SELECT p.component, p.writer, p.up_layer, p.up_head, p.place, p.n
FROM placed AS p, dump AS d
WHERE p.writer <> p.place
    OR (p.up_layer IS NULL) <> (p.component IN ('embed', 'pos_embed'))
    OR (p.up_head IS NULL) <> (p.component <> 'head')
    OR p.up_layer >= d.n_layers OR p.up_head >= d.n_heads
    OR p.n <> CASE
        WHEN p.component = 'head' THEN d.n_layers * d.n_heads
        WHEN p.up_layer IS NULL THEN 1
        ELSE d.n_layers
    END;
