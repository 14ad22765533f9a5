-- every prompt is unique
SELECT prompt_id, count(*) AS n FROM prompts GROUP BY prompt_id HAVING count(*) > 1;
