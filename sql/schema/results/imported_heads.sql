-- imported_heads: the heads of an imported circuit that no edge starts from or goes into
-- grain: [head]
CREATE TABLE imported_heads (
    layer UTINYINT NOT NULL,
    head  UTINYINT NOT NULL,
    class VARCHAR
);
COMMENT ON TABLE imported_heads IS 'the heads of an imported circuit that no edge starts from or goes into; they are in the circuit at every threshold; grain: [head]';
COMMENT ON COLUMN imported_heads.layer IS 'layer of the head, from 0';
COMMENT ON COLUMN imported_heads.head IS 'head within its layer, from 0';
COMMENT ON COLUMN imported_heads.class IS 'class of the head in the file';
