-- every head has all its singular values, descending and not negative
WITH neighbours AS (
    SELECT
        layer, head, k, sigma,
        lag(sigma) OVER (PARTITION BY layer, head ORDER BY k) AS sigma_above,
        count(*) OVER (PARTITION BY layer, head) AS n,
        max(k) OVER (PARTITION BY layer, head) AS last
    FROM singular_values
)
SELECT layer, head, k, sigma, sigma_above, n
FROM neighbours, dump
WHERE NOT isfinite(sigma) OR sigma < 0 OR sigma > sigma_above OR n <> d_head OR last + 1 <> d_head
UNION ALL
SELECT n_layers, n_heads, null, null, null, count(v.layer)
FROM dump LEFT JOIN singular_values AS v ON true
GROUP BY n_layers, n_heads, d_head
HAVING count(v.layer) <> n_layers * n_heads * d_head;
