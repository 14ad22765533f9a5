-- purpose: the heads that are known before a trace: the roots and the heads of the reference
-- params: none
-- grain: [head]
-- columns: layer, head, is_root, in_reference, class
WITH named AS (
    SELECT layer, head, min(class) AS class FROM reference_heads GROUP BY layer, head
)
SELECT
    layer, head,
    r.layer IS NOT NULL AS is_root,
    n.layer IS NOT NULL AS in_reference,
    n.class
FROM root_heads('run') AS r
FULL JOIN named AS n USING (layer, head)
ORDER BY layer, head;
