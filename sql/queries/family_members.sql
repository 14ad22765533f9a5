-- purpose: the prompts of each family, in the order of the tree that joins prompts with similar traces
-- params: none
-- grain: [prompt of a family]
-- columns: family, place, prompt_id, template, pattern, silhouette, text
SELECT f.family, f.place, f.prompt_id, p.template, p.pattern, f.silhouette, p.text
FROM families AS f
JOIN prompts AS p USING (prompt_id)
ORDER BY f.place;
