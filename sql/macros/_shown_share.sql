-- shown_share: the smallest share of the prompts of a shown edge: min_share, or min_count / number of prompts
CREATE OR REPLACE TEMP MACRO shown_share(min_share, min_count) AS
    coalesce(min_count::DOUBLE / (SELECT count(*) FROM prompts), min_share::DOUBLE);
