-- sweep_settings: the jobs of a sweep that have results, with the smallest count of a shown edge
-- grain: [job]
-- `run_table` names a relation like run with the column job; `n_all` is the number of prompts, `kind` the count that
-- thresholds apply to.
CREATE OR REPLACE TEMP MACRO sweep_settings(run_table) AS TABLE
SELECT
    job, n_prompts AS n_all, config->>'$.trace.count' AS kind,
    coalesce(
        (config->>'$.trace.min_count')::BIGINT,
        greatest(ceil((config->>'$.trace.min_share')::DOUBLE * n_prompts - 1e-9), 1)::BIGINT
    ) AS shown_from
FROM query_table(run_table)
WHERE config IS NOT NULL;
