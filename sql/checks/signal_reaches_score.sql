-- the signal set carries the whole score, or lead: the remaining slices sum to 0 or to the opposite sign
WITH entries AS (
    SELECT pair_id, dest_coords, src_coords, unnest(signal) + 1 AS place FROM pair_slices
),
signals AS (
    SELECT pair_id, sum(dest_coords[place]::DOUBLE * src_coords[place]) AS carried FROM entries GROUP BY pair_id
),
suspects AS (
    SELECT
        p.pair_id, p.omega_score,
        list_dot_product(l.dest_coords::DOUBLE[], l.src_coords::DOUBLE[]) - coalesce(s.carried, 0) AS left_over
    FROM pairs AS p
    JOIN pair_slices AS l USING (pair_id)
    LEFT JOIN signals AS s USING (pair_id)
    WHERE NOT sign(p.omega_score) * left_over <= 1e-6 * (1 + abs(p.omega_score))
),
sizes AS (
    SELECT pair_id, sum(abs(contribution::DOUBLE)) AS size
    FROM slices
    WHERE pair_id IN (SELECT pair_id FROM suspects)
    GROUP BY pair_id
)
SELECT c.pair_id, c.omega_score, c.left_over, z.size
FROM suspects AS c
JOIN sizes AS z USING (pair_id)
WHERE NOT sign(c.omega_score) * c.left_over <= 1e-6 * (1 + z.size);
