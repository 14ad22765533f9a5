-- intervention_edges: the edges that an intervention changes: one, or those of a set
-- grain: [intervention, edge]
CREATE TABLE intervention_edges (
    intervention_id INTEGER NOT NULL,
    layer           UTINYINT NOT NULL,
    head            UTINYINT NOT NULL,
    side            side NOT NULL,
    dest_role       VARCHAR,
    src_role        VARCHAR,
    up_layer        UTINYINT NOT NULL,
    up_head         UTINYINT NOT NULL
);
COMMENT ON TABLE intervention_edges IS 'the edges that an intervention changes: one, or those of a set; grain: [intervention, edge]';
COMMENT ON COLUMN intervention_edges.intervention_id IS 'intervention, as in interventions';
COMMENT ON COLUMN intervention_edges.layer IS 'layer of the downstream head';
COMMENT ON COLUMN intervention_edges.head IS 'downstream head within its layer';
COMMENT ON COLUMN intervention_edges.side IS 'token of the downstream pair that the signal is written to: dest or src';
COMMENT ON COLUMN intervention_edges.dest_role IS 'role of the dest of its pairs; null is any';
COMMENT ON COLUMN intervention_edges.src_role IS 'role of the src of its pairs; null is any';
COMMENT ON COLUMN intervention_edges.up_layer IS 'layer of the upstream head, which writes the signal';
COMMENT ON COLUMN intervention_edges.up_head IS 'upstream head within its layer';
