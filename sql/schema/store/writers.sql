-- writers: the writers of the entries in the lists of pair_upstream
-- grain: [component, writer]
CREATE TABLE writers (
    component component NOT NULL,
    writer    USMALLINT NOT NULL,
    up_layer  UTINYINT,
    up_head   UTINYINT
);
COMMENT ON TABLE writers IS 'the writers of the entries in the lists of pair_upstream; grain: [component, writer]';
COMMENT ON COLUMN writers.component IS 'kind of the writer: head, mlp, embed, pos_embed or bias (of an attention layer''s output)';
COMMENT ON COLUMN writers.writer IS 'position in the lists of its component, from 0: by layer, then head';
COMMENT ON COLUMN writers.up_layer IS 'layer of the writer; null for embed and pos_embed';
COMMENT ON COLUMN writers.up_head IS 'head of the writer; null unless component is head';
