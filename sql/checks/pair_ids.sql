-- every pair_id is the documented function of (prompt, layer, head, dest, src), and is unique
SELECT
    p.pair_id, any_value(p.prompt_id) AS prompt_id, any_value(p.layer) AS layer,
    any_value(p.head) AS head, any_value(p.dest) AS dest, any_value(p.src) AS src, count(*) AS n
FROM pairs AS p, dump AS d
GROUP BY p.pair_id
HAVING count(*) > 1 OR p.pair_id <> any_value(
    (((p.prompt_id::BIGINT * d.n_layers + p.layer) * d.n_heads + p.head) * d.n_ctx + p.dest) * d.n_ctx
    + p.src
);
