-- purpose: the heads that are known before a trace: the roots and the heads of the reference
-- params: none
-- grain: [head]
-- columns: layer, head, is_root, in_reference, class
WITH root_heads AS (
    SELECT DISTINCT root[1] AS layer, root[2] AS head
    FROM (SELECT unnest(roots::INTEGER[][]) AS root FROM run)
),
named AS (
    SELECT layer, head, min(class) AS class FROM reference_heads GROUP BY layer, head
)
SELECT
    layer, head,
    r.layer IS NOT NULL AS is_root,
    n.layer IS NOT NULL AS in_reference,
    n.class
FROM root_heads AS r
FULL JOIN named AS n USING (layer, head)
ORDER BY layer, head;
