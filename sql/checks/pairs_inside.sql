-- every pair lies within its prompt and the model, and attends to an earlier token or its own
SELECT p.pair_id, p.prompt_id, p.layer, p.head, p.dest, p.src, r.n_tokens
FROM pairs AS p
LEFT JOIN prompts AS r USING (prompt_id), dump AS d
WHERE r.prompt_id IS NULL OR p.dest >= r.n_tokens OR p.src > p.dest
    OR p.layer >= d.n_layers OR p.head >= d.n_heads;
