-- coordinates: slice coordinates of every token, for the heads of dump.coordinates
-- grain: [prompt, position, head, slice]
CREATE TABLE coordinates (
    prompt_id  INTEGER NOT NULL,
    pos        USMALLINT NOT NULL,
    layer      UTINYINT NOT NULL,
    head       UTINYINT NOT NULL,
    k          USMALLINT NOT NULL,
    dest_coord FLOAT NOT NULL,
    src_coord  FLOAT NOT NULL
);
COMMENT ON TABLE coordinates IS 'slice coordinates of every token, for the heads of dump.coordinates; grain: [prompt, position, head, slice]';
COMMENT ON COLUMN coordinates.prompt_id IS 'prompt, as in prompts';
COMMENT ON COLUMN coordinates.pos IS 'position, from 0';
COMMENT ON COLUMN coordinates.layer IS 'layer of the head, from 0';
COMMENT ON COLUMN coordinates.head IS 'head within its layer, from 0';
COMMENT ON COLUMN coordinates.k IS 'slice of the head''s Omega, from 0 by descending singular value';
COMMENT ON COLUMN coordinates.dest_coord IS 'coordinate of the query along slice k, up to the sign shared with src_coord: sqrt(sigma_k) u_k . x~ where the model neither rotates nor normalises queries';
COMMENT ON COLUMN coordinates.src_coord IS 'coordinate of the key along slice k, up to the sign shared with dest_coord: sqrt(sigma_k) v_k . x~ where the model neither rotates nor normalises keys';
