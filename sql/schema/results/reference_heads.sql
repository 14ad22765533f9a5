-- reference_heads: the heads of the references
-- grain: [reference, head]
CREATE TABLE reference_heads (
    reference VARCHAR NOT NULL,
    layer     UTINYINT NOT NULL,
    head      UTINYINT NOT NULL,
    class     VARCHAR,
    reachable BOOLEAN NOT NULL
);
COMMENT ON TABLE reference_heads IS 'the heads of the references; grain: [reference, head]';
COMMENT ON COLUMN reference_heads.reference IS 'name of the reference';
COMMENT ON COLUMN reference_heads.layer IS 'layer of the head, from 0';
COMMENT ON COLUMN reference_heads.head IS 'head within its layer, from 0';
COMMENT ON COLUMN reference_heads.class IS 'class of the head in the reference';
COMMENT ON COLUMN reference_heads.reachable IS 'whether the head is a root or in a layer below the lowest root''s; true without roots';
