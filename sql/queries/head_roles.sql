-- purpose: roles of the tokens between which each traced head attends, with the usual name of such a head
-- params: min_share DOUBLE smallest share of the prompts [= trace.min_share]
-- grain: [head, dest role, src role]
-- columns: layer, head, dest_role, src_role, n_prompts, share, n_firings, pattern
-- Only firings that the traces reach count; `share` is the share of the prompts. `pattern` is the name in
-- conf/dataset/*/head_patterns.csv, null if none has these roles.
WITH named AS (
    SELECT dest_role, src_role, min(name) AS pattern FROM head_patterns GROUP BY dest_role, src_role
)
SELECT
    f.layer, f.head, f.dest_role, f.src_role, f.n_prompts,
    f.n_prompts / (SELECT count(*) FROM prompts) AS share,
    f.n_firings, n.pattern
FROM graph_firings AS f
LEFT JOIN named AS n USING (dest_role, src_role)
WHERE f.n_prompts >= shown_count($min_share, NULL)
ORDER BY f.layer, f.head, f.n_prompts DESC, f.n_firings DESC, f.dest_role, f.src_role;
