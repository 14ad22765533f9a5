-- dump: model, settings, versions and numerical errors of the dump
-- grain: [1]
CREATE TABLE dump (
    svt_version          VARCHAR NOT NULL,
    schema_version       INTEGER NOT NULL,
    identity             VARCHAR NOT NULL,
    model_name           VARCHAR NOT NULL,
    weights_fingerprint  VARCHAR NOT NULL,
    n_layers             INTEGER NOT NULL,
    n_heads              INTEGER NOT NULL,
    d_model              INTEGER NOT NULL,
    d_head               INTEGER NOT NULL,
    n_ctx                INTEGER NOT NULL,
    config               JSON NOT NULL,
    library_versions     JSON NOT NULL,
    notes                JSON,
    seconds              JSON NOT NULL,
    peak_bytes           BIGINT,
    worst_residual       DOUBLE,
    worst_closure        DOUBLE,
    worst_reconstruction DOUBLE
);
COMMENT ON TABLE dump IS 'model, settings, versions and numerical errors of the dump; grain: [1]';
COMMENT ON COLUMN dump.svt_version IS 'version of svt that wrote the store';
COMMENT ON COLUMN dump.schema_version IS 'version of these tables and of the numerics behind them';
COMMENT ON COLUMN dump.identity IS 'hash of model weights, prompts and dump settings; part of the file name';
COMMENT ON COLUMN dump.model_name IS 'name of the model, as configured';
COMMENT ON COLUMN dump.weights_fingerprint IS 'hash of the weight files';
COMMENT ON COLUMN dump.n_layers IS 'number of layers of the model';
COMMENT ON COLUMN dump.n_heads IS 'number of attention heads in a layer';
COMMENT ON COLUMN dump.d_model IS 'width of the residual stream';
COMMENT ON COLUMN dump.d_head IS 'width of a head; also its number of slices';
COMMENT ON COLUMN dump.n_ctx IS 'longest context in tokens; pair_id is built with it';
COMMENT ON COLUMN dump.config IS 'the whole configuration of the run that wrote the store';
COMMENT ON COLUMN dump.library_versions IS 'versions of the libraries, by name';
COMMENT ON COLUMN dump.notes IS 'remarks on the preparation of the prompts, a list of texts';
COMMENT ON COLUMN dump.seconds IS 'wall time by phase, seconds';
COMMENT ON COLUMN dump.peak_bytes IS 'peak resident memory of the process, bytes';
COMMENT ON COLUMN dump.worst_residual IS 'largest pairs.residual';
COMMENT ON COLUMN dump.worst_closure IS 'largest absolute sides.closure; null unless every component was dumped';
COMMENT ON COLUMN dump.worst_reconstruction IS 'largest relative error of a head''s SVD against its Omega';
