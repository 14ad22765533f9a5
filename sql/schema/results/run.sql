-- run: the run that these results belong to
-- grain: [1]
CREATE TABLE run (
    svt_version    VARCHAR NOT NULL,
    config         JSON NOT NULL,
    store_path     VARCHAR,
    store_identity VARCHAR,
    n_prompts      INTEGER,
    roots          JSON,
    warnings       JSON,
    seconds        JSON,
    status         VARCHAR NOT NULL
);
COMMENT ON TABLE run IS 'the run that these results belong to; grain: [1]';
COMMENT ON COLUMN run.svt_version IS 'version of svt that wrote the results';
COMMENT ON COLUMN run.config IS 'the whole configuration';
COMMENT ON COLUMN run.store_path IS 'path of the store, or a JSON list of paths; null for an imported circuit';
COMMENT ON COLUMN run.store_identity IS 'identity in the store''s dump table';
COMMENT ON COLUMN run.n_prompts IS 'number of prompts in the store';
COMMENT ON COLUMN run.roots IS 'roots of the trace, a list of [layer, head]';
COMMENT ON COLUMN run.warnings IS 'warnings of the run, a list of texts';
COMMENT ON COLUMN run.seconds IS 'wall time by stage, seconds';
COMMENT ON COLUMN run.status IS 'done, or in a sweep the error of the job';
