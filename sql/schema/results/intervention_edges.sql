-- intervention_edges: the edges that an intervention changes, one for a single edge
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
COMMENT ON TABLE intervention_edges IS 'the edges that an intervention changes, one for a single edge; grain: [intervention, edge]';
COMMENT ON COLUMN intervention_edges.intervention_id IS 'intervention, as in interventions';
COMMENT ON COLUMN intervention_edges.layer IS 'layer of the downstream head';
COMMENT ON COLUMN intervention_edges.head IS 'downstream head within its layer';
COMMENT ON COLUMN intervention_edges.side IS 'token of the downstream pair that the signal is written into: dest or src';
COMMENT ON COLUMN intervention_edges.dest_role IS 'only pairs that attend from this role; null is any';
COMMENT ON COLUMN intervention_edges.src_role IS 'only pairs that attend to this role; null is any';
COMMENT ON COLUMN intervention_edges.up_layer IS 'layer of the head that writes the signal';
COMMENT ON COLUMN intervention_edges.up_head IS 'head that writes the signal, within its layer';
