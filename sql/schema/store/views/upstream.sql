-- upstream: contribution of each earlier component to a pair through one of its tokens; a view of pair_upstream
-- grain: [pair, side, component]
CREATE VIEW upstream AS
SELECT
    u.pair_id, u.side, u.component, w.up_layer, w.up_head,
    u.contributions[w.writer + 1] AS contribution,
    u.contributions_all[w.writer + 1] AS contribution_all,
    (u.weights_without[w.writer + 1] / 65535)::FLOAT AS weight_without
FROM pair_upstream AS u
JOIN writers AS w ON w.component = u.component AND w.writer < len(u.contributions)
WHERE u.contributions[w.writer + 1] IS NOT NULL;
COMMENT ON VIEW upstream IS 'contribution of each earlier component to a pair through one of its tokens, a view of pair_upstream and writers; grain: [pair, side, component]';
COMMENT ON COLUMN upstream.pair_id IS 'attention pair, as in pairs';
COMMENT ON COLUMN upstream.side IS 'token of the pair that is written to: dest or src';
COMMENT ON COLUMN upstream.component IS 'kind of the writer: head, mlp, embed, pos_embed or bias (of an attention layer''s output)';
COMMENT ON COLUMN upstream.up_layer IS 'layer of the writer, below the pair''s; null for embed and pos_embed';
COMMENT ON COLUMN upstream.up_head IS 'head of the writer; null unless component is head';
COMMENT ON COLUMN upstream.contribution IS 'contribution to the score through the signal set S (equation 8)';
COMMENT ON COLUMN upstream.contribution_all IS 'the same through every slice; null unless dump.all_slices';
COMMENT ON COLUMN upstream.weight_without IS 'the pair''s attention weight without the component''s output at that token, 0 to 1; null unless dump.effects';
