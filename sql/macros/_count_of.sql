-- count_of: the count of an edge that thresholds apply to: prompts, firings or visits
CREATE OR REPLACE TEMP MACRO count_of(kind, n_prompts, n_firings, n_visits) AS
    CASE kind
        WHEN 'prompts' THEN n_prompts
        WHEN 'firings' THEN n_firings
        WHEN 'visits' THEN n_visits
        ELSE error('count is ' || kind || '; it must be prompts, firings or visits')
    END;
