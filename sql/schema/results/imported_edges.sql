-- imported_edges: the edges of an imported circuit as in its file; graph_edges aggregates them
-- grain: [edge of the file]
CREATE TABLE imported_edges (
    place      VARCHAR NOT NULL,
    up_layer   UTINYINT,
    up_head    UTINYINT,
    component  component NOT NULL,
    layer      UTINYINT NOT NULL,
    head       UTINYINT NOT NULL,
    input      VARCHAR,
    side       side,
    role       VARCHAR,
    other_role VARCHAR,
    weight     DOUBLE
);
COMMENT ON TABLE imported_edges IS 'the edges of an imported circuit as in its file, with null for unknown values; graph_edges aggregates them; grain: [edge of the file]';
COMMENT ON COLUMN imported_edges.place IS 'location of the edge in the file';
COMMENT ON COLUMN imported_edges.up_layer IS 'layer of the writer; null for embed and pos_embed';
COMMENT ON COLUMN imported_edges.up_head IS 'head of the writer; null unless component is head';
COMMENT ON COLUMN imported_edges.component IS 'kind of the writer: head, mlp, embed, pos_embed or bias';
COMMENT ON COLUMN imported_edges.layer IS 'layer of the downstream head, from 0';
COMMENT ON COLUMN imported_edges.head IS 'downstream head within its layer, from 0';
COMMENT ON COLUMN imported_edges.input IS 'input of the downstream head: query, key or value';
COMMENT ON COLUMN imported_edges.side IS 'token of the pair that is written to: dest for the query, src for the key, null for the value';
COMMENT ON COLUMN imported_edges.role IS 'role of the token that is written to';
COMMENT ON COLUMN imported_edges.other_role IS 'role of the other token of the pair';
COMMENT ON COLUMN imported_edges.weight IS 'weight or score of the edge in the file';
