-- interventions: what was changed in the model's forward pass, one edge or a set of edges at a time
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
COMMENT ON TABLE interventions IS 'what was changed in the model''s forward pass, one edge or a set of edges at a time; grain: [intervention]';
COMMENT ON COLUMN interventions.intervention_id IS 'number of the intervention, from 0';
COMMENT ON COLUMN interventions.label IS 'the edge in words, or the name of the set';
COMMENT ON COLUMN interventions.layer IS 'layer of the downstream head; null for a set, as are the other columns of an edge';
COMMENT ON COLUMN interventions.head IS 'downstream head within its layer';
COMMENT ON COLUMN interventions.side IS 'token of the downstream pair that the signal is written into: dest or src';
COMMENT ON COLUMN interventions.dest_role IS 'only pairs that attend from this role; null is any';
COMMENT ON COLUMN interventions.src_role IS 'only pairs that attend to this role; null is any';
COMMENT ON COLUMN interventions.up_layer IS 'layer of the head that writes the signal';
COMMENT ON COLUMN interventions.up_head IS 'head that writes the signal, within its layer';
COMMENT ON COLUMN interventions.scope IS 'global: the upstream head''s output; local_qk: the query (dest) or key (src) of the downstream head; local_qkv: its query, key and value at that token';
COMMENT ON COLUMN interventions.kind IS 'ablate: the signal is taken away; boost: it is added once more';
COMMENT ON COLUMN interventions.control IS 'signal: the pair''s signal slices; random: as many slices drawn outside of them';
COMMENT ON COLUMN interventions.seed IS 'seed of the drawn slices; null for the signal';
COMMENT ON COLUMN interventions.strength IS 'factor of the change; 1 is the paper''s';
COMMENT ON COLUMN interventions.n_pairs IS 'downstream pairs that were changed; pairs without a slice to draw are not';
