-- imported: the file that these results were imported from; empty for a trace
-- grain: [1]
CREATE TABLE imported (
    name     VARCHAR NOT NULL,
    file     VARCHAR NOT NULL,
    format   VARCHAR NOT NULL,
    left_out JSON NOT NULL
);
COMMENT ON TABLE imported IS 'the file that these results were imported from; empty for a trace; grain: [1]';
COMMENT ON COLUMN imported.name IS 'name of the circuit';
COMMENT ON COLUMN imported.file IS 'path of the file';
COMMENT ON COLUMN imported.format IS 'format of the file';
COMMENT ON COLUMN imported.left_out IS 'parts of the file that the tables cannot hold, a list of texts';
