-- interventions: changes of one edge or a set of edges in the model's forward pass
-- grain: [intervention]
CREATE TABLE interventions (
    intervention_id INTEGER NOT NULL,
    label           VARCHAR NOT NULL,
    layer           UTINYINT,
    head            UTINYINT,
    side            side,
    dest_role       VARCHAR,
    src_role        VARCHAR,
    up_layer        UTINYINT,
    up_head         UTINYINT,
    scope           scope NOT NULL,
    kind            kind NOT NULL,
    control         control NOT NULL,
    seed            BIGINT,
    strength        DOUBLE NOT NULL,
    n_pairs         INTEGER NOT NULL
);
COMMENT ON TABLE interventions IS 'changes of one edge or a set of edges in the model''s forward pass; grain: [intervention]';
COMMENT ON COLUMN interventions.intervention_id IS 'number of the intervention, from 0';
COMMENT ON COLUMN interventions.label IS 'the edge as text, or the name of the set';
COMMENT ON COLUMN interventions.layer IS 'layer of the downstream head; this and the other columns of the edge are null for a set';
COMMENT ON COLUMN interventions.head IS 'downstream head within its layer';
COMMENT ON COLUMN interventions.side IS 'token of the downstream pair that the signal is written to: dest or src';
COMMENT ON COLUMN interventions.dest_role IS 'role of the dest of its pairs; null is any';
COMMENT ON COLUMN interventions.src_role IS 'role of the src of its pairs; null is any';
COMMENT ON COLUMN interventions.up_layer IS 'layer of the upstream head, which writes the signal';
COMMENT ON COLUMN interventions.up_head IS 'upstream head within its layer';
COMMENT ON COLUMN interventions.scope IS 'global: the upstream head''s output; local_qk: the query (dest) or key (src) of the downstream head; local_qkv: its query, key and value at that token';
COMMENT ON COLUMN interventions.kind IS 'ablate: the signal is subtracted; boost: it is added';
COMMENT ON COLUMN interventions.control IS 'signal: the pair''s signal slices; random: as many slices drawn from the others';
COMMENT ON COLUMN interventions.seed IS 'seed of the drawn slices; null for the signal';
COMMENT ON COLUMN interventions.strength IS 'factor of the change; 1 is the paper''s';
COMMENT ON COLUMN interventions.n_pairs IS 'number of downstream pairs that were changed; pairs without a slice to draw are not';
