-- bootstrap_weight: weight of an item in a bootstrap draw: Poisson(1), from a hash of (seed, draw, name)
-- u is uniform in [0, 1); the steps are the cumulative probabilities of 0, 1, 2, ... 8.
CREATE OR REPLACE TEMP MACRO bootstrap_weight(seed, draw, name) AS (
    SELECT len(list_filter(
        [0.36787944, 0.73575888, 0.91969860, 0.98101184, 0.99634015, 0.99940582, 0.99991676,
            0.99998975, 0.99999887],
        lambda step: u >= step
    ))
    FROM (SELECT md5_number_lower(concat_ws(',', seed, draw, name)) / 18446744073709551616 AS u)
);
