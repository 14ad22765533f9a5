-- the signal set of every pair is n_slices different slices of its head, the first in the order of the signal rule; the
-- order is checked in all pairs or, of very many, in ten to twenty thousand: the set is in this order, and no other
-- slice comes before its last
WITH chosen AS (
    FROM pair_slices WHERE hash(pair_id) % greatest(1, (SELECT count(*) // 10000 FROM pairs)) = 0
),
products AS (
    SELECT
        pair_id, signal,
        list_transform(range(1, len(dest_coords) + 1), lambda k: dest_coords[k] * src_coords[k]) AS product,
        CASE WHEN product[signal[1] + 1] < 0 THEN -1 ELSE 1 END AS score_sign,
        1e-12 * list_sum(list_transform(product, lambda x: abs(x::DOUBLE))) AS negligible
    FROM chosen
),
sizes AS (
    SELECT
        pair_id, signal,
        list_transform(product, lambda x: CASE WHEN abs(x) <= negligible THEN 0 ELSE score_sign * x END) AS size,
        list_transform(signal, lambda k: size[k + 1]) AS falling,
        falling[-1] AS least
    FROM products
)
SELECT l.pair_id, l.signal, p.n_slices, NULL AS size
FROM pair_slices AS l
JOIN pairs AS p USING (pair_id)
WHERE len(l.signal) <> p.n_slices OR list_unique(l.signal) <> p.n_slices
    OR coalesce(list_max(l.signal), 0) >= (SELECT d_head FROM dump)
UNION ALL
SELECT pair_id, signal, NULL, size
FROM sizes
WHERE len(signal) <> len(list_filter(range(len(size)), lambda k:
        size[k + 1] > least OR (size[k + 1] = least AND k <= signal[-1])
    ))
    OR NOT list_bool_and(list_transform(range(1, len(signal)), lambda i:
        falling[i] > falling[i + 1] OR (falling[i] = falling[i + 1] AND signal[i] < signal[i + 1])
    ));
