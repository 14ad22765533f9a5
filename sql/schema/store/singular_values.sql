-- singular_values: the singular value decomposition of every head's Omega
-- grain: [head, slice]
CREATE TABLE singular_values (
    layer  UTINYINT NOT NULL,
    head   UTINYINT NOT NULL,
    k      USMALLINT NOT NULL,
    sigma  DOUBLE NOT NULL,
    u_last FLOAT NOT NULL,
    v_last FLOAT NOT NULL
);
COMMENT ON TABLE singular_values IS 'the singular value decomposition of every head''s Omega; grain: [head, slice]';
COMMENT ON COLUMN singular_values.layer IS 'layer of the head, from 0';
COMMENT ON COLUMN singular_values.head IS 'head within its layer, from 0';
COMMENT ON COLUMN singular_values.k IS 'slice of the head''s Omega, from 0 by descending singular value';
COMMENT ON COLUMN singular_values.sigma IS 'singular value';
COMMENT ON COLUMN singular_values.u_last IS 'last coordinate of u_k, that of the bias (up to the sign shared with v_last)';
COMMENT ON COLUMN singular_values.v_last IS 'last coordinate of v_k, that of the bias (up to the sign shared with u_last)';
