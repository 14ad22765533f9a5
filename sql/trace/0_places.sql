-- Step 5 of svt.query.trace: the place of every token in the graph, by trace.unlabelled
INSERT INTO results.places BY NAME
WITH ends AS (
    SELECT prompt_id, coalesce(r.pos, p.n_tokens - 1)::INTEGER AS end_pos
    FROM store.prompts AS p
    LEFT JOIN (FROM store.roles WHERE role = 'end') AS r USING (prompt_id)
),
rule AS (
    SELECT CASE
        WHEN $unlabelled <> 'auto' THEN $unlabelled
        WHEN EXISTS (FROM store.roles WHERE role <> 'end') THEN 'drop'
        ELSE 'offset'
    END AS name
),
placed AS (
    SELECT
        t.prompt_id, t.pos,
        coalesce(
            r.role,
            CASE rule.name
                WHEN 'offset' THEN printf('end%+d', t.pos::INTEGER - e.end_pos)
                WHEN 'text' THEN concat('"', coalesce(nullif(trim(t.token), ''), t.token), '"')
            END
        ) AS role
    FROM store.tokens AS t
    CROSS JOIN rule
    JOIN ends AS e USING (prompt_id)
    LEFT JOIN store.roles AS r ON r.prompt_id = t.prompt_id AND r.pos = t.pos
)
SELECT prompt_id, pos, role FROM placed WHERE role IS NOT NULL ORDER BY prompt_id, pos;
