-- shown_count: the smallest count of a shown edge: min_count, or min_share of the prompts
CREATE OR REPLACE TEMP MACRO shown_count(min_share, min_count) AS
    coalesce(
        min_count::BIGINT,
        greatest(ceil(min_share * (SELECT count(*) FROM prompts) - 1e-9), 1)::BIGINT
    );
