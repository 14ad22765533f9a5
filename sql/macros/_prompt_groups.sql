-- prompt_groups: the prompts with their group: template or order of names
-- grain: [prompt]; a prompt without one is in the group unknown
CREATE OR REPLACE TEMP MACRO prompt_groups(by_rule) AS TABLE
WITH named AS (
    SELECT
        prompt_id,
        coalesce(CASE by_rule WHEN 'template' THEN template ELSE pattern END, 'unknown') AS prompt_group
    FROM prompts
)
SELECT prompt_id, prompt_group, count(*) OVER (PARTITION BY prompt_group) AS n_in_group
FROM named;
