-- writers: what the entries of the lists of pair_upstream stand for
-- grain: [component, writer]
CREATE TABLE writers (
    component component NOT NULL,
    writer    USMALLINT NOT NULL,
    up_layer  UTINYINT,
    up_head   UTINYINT
);
COMMENT ON TABLE writers IS 'what the entries of the lists of pair_upstream stand for; grain: [component, writer]';
COMMENT ON COLUMN writers.component IS 'kind of what writes: head, mlp, embed, pos_embed or bias (of an attention layer''s output)';
COMMENT ON COLUMN writers.writer IS 'place in the lists of its component, from 0: by layer, then head';
COMMENT ON COLUMN writers.up_layer IS 'layer that writes; null for embed and pos_embed';
COMMENT ON COLUMN writers.up_head IS 'head that writes; null unless component is head';
