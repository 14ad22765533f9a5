-- purpose: mean size, in each token, of the signal that a head reads from its src
-- params: layer INTEGER layer of the head, whose coordinates the store must hold
--         head INTEGER the head in its layer
--         min_firings INTEGER firings whose signal must contain a slice of the consensus [= 100]
--         dest_role VARCHAR only firings from a token with this role, or any [= any]
--         src_role VARCHAR only firings to a token with this role, or any [= any]
--         firing_weight DOUBLE smallest attention weight of a firing [= trace.firing_weight]
-- grain: [token text], by descending mean; no row if the store lacks the coordinates of the head
-- columns: token, is_name, n, mean_size, n_consensus, consensus_from, n_firings
-- The size in a token is the root of the sum of src_coord^2 / sigma over the consensus slices: |P x~|, with P the
-- projector onto their v_k, as src_coord is sqrt(sigma_k) v_k . x~. Where the model rotates keys, the size depends on the
-- token's position, so it compares tokens at like positions only. The consensus is the slices that are in the signal of
-- at least min_firings firings, or of half of them if none is; `consensus_from` is the number applied. `is_name` is
-- whether the text is IO, S1 or S2 in any prompt.
WITH firing AS (
    SELECT p.pair_id
    FROM pairs AS p
    LEFT JOIN roles AS d ON d.prompt_id = p.prompt_id AND d.pos = p.dest
    LEFT JOIN roles AS s ON s.prompt_id = p.prompt_id AND s.pos = p.src
    WHERE p.layer = $layer AND p.head = $head AND p.eligible AND p.weight >= $firing_weight
        AND ($dest_role = 'any' OR d.role = $dest_role)
        AND ($src_role = 'any' OR s.role = $src_role)
),
in_signal AS (
    SELECT unnest(s.signal) AS k
    FROM pair_slices AS s
    JOIN firing USING (pair_id)
),
usage AS (
    SELECT k, count(*) AS n_in_signal
    FROM in_signal
    GROUP BY k
),
counted AS (
    SELECT count(*) AS n_firings FROM firing
),
needed AS (
    SELECT
        any_value(c.n_firings) AS n_firings,
        CASE WHEN max(u.n_in_signal) >= $min_firings THEN $min_firings
            ELSE ceil(any_value(c.n_firings) / 2)::INTEGER END AS consensus_from
    FROM counted AS c
    LEFT JOIN usage AS u ON true
),
consensus AS (
    SELECT u.k, v.sigma
    FROM usage AS u
    CROSS JOIN needed AS n
    JOIN singular_values AS v ON v.layer = $layer AND v.head = $head AND v.k = u.k
    WHERE u.n_in_signal >= n.consensus_from AND v.sigma > 0
),
sizes AS (
    SELECT
        c.prompt_id, c.pos,
        sqrt(coalesce(sum(c.src_coord::DOUBLE ** 2 / s.sigma ORDER BY c.k), 0)) AS size
    FROM coordinates AS c
    LEFT JOIN consensus AS s USING (k)
    WHERE c.layer = $layer AND c.head = $head
    GROUP BY c.prompt_id, c.pos
),
names AS (
    SELECT DISTINCT t.token
    FROM tokens AS t
    JOIN roles AS r USING (prompt_id, pos)
    WHERE r.role IN ('IO', 'S1', 'S2')
)
SELECT
    t.token,
    t.token IN (FROM names) AS is_name,
    count(*) AS n,
    avg(z.size ORDER BY z.prompt_id, z.pos) AS mean_size,
    (SELECT count(*) FROM consensus) AS n_consensus,
    any_value(d.consensus_from) AS consensus_from,
    any_value(d.n_firings) AS n_firings
FROM sizes AS z
JOIN tokens AS t USING (prompt_id, pos)
CROSS JOIN needed AS d
GROUP BY t.token
ORDER BY mean_size DESC, t.token;
