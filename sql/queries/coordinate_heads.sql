-- purpose: the heads whose slice coordinates the store holds for every token
-- params: none
-- grain: [head]
-- columns: layer, head
SELECT DISTINCT layer, head FROM coordinates ORDER BY layer, head;
