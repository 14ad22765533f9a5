-- pairs: attention of a head from one token to another
-- grain: [stored attention pair]
CREATE TABLE pairs (
    pair_id         BIGINT NOT NULL,
    prompt_id       INTEGER NOT NULL,
    layer           UTINYINT NOT NULL,
    head            UTINYINT NOT NULL,
    dest            USMALLINT NOT NULL,
    src             USMALLINT NOT NULL,
    weight          FLOAT NOT NULL,
    score           FLOAT NOT NULL,
    omega_score     DOUBLE NOT NULL,
    eligible        BOOLEAN NOT NULL,
    sampled         BOOLEAN NOT NULL,
    n_slices        USMALLINT NOT NULL,
    dest_scale      FLOAT,
    src_scale       FLOAT,
    dest_offset     DOUBLE,
    src_offset      DOUBLE,
    dest_offset_all DOUBLE,
    src_offset_all  DOUBLE,
    residual        FLOAT NOT NULL
);
COMMENT ON TABLE pairs IS 'attention of a head from one token to another; grain: [stored attention pair]';
COMMENT ON COLUMN pairs.pair_id IS '(((prompt_id * n_layers + layer) * n_heads + head) * n_ctx + dest) * n_ctx + src';
COMMENT ON COLUMN pairs.prompt_id IS 'prompt, as in prompts';
COMMENT ON COLUMN pairs.layer IS 'layer of the head, from 0';
COMMENT ON COLUMN pairs.head IS 'head within its layer, from 0';
COMMENT ON COLUMN pairs.dest IS 'position of the dest, which attends';
COMMENT ON COLUMN pairs.src IS 'position of the src, which is attended to, at most dest';
COMMENT ON COLUMN pairs.weight IS 'attention weight, 0 to 1';
COMMENT ON COLUMN pairs.score IS 'attention score before the softmax, divided by sqrt(d_head)';
COMMENT ON COLUMN pairs.omega_score IS 'sum of the slices'' contributions: sqrt(d_head) * score; with dump.score=contrast its difference to the mean of the other sources';
COMMENT ON COLUMN pairs.eligible IS 'whether the pair can fire: score >= 0 and src > 0';
COMMENT ON COLUMN pairs.sampled IS 'whether the pair is of the sample of dump.sample, with slices but no upstream components';
COMMENT ON COLUMN pairs.n_slices IS 'number of slices in the signal set S';
COMMENT ON COLUMN pairs.dest_scale IS 'scale of the layer''s LayerNorm at dest';
COMMENT ON COLUMN pairs.src_scale IS 'scale of the layer''s LayerNorm at src';
COMMENT ON COLUMN pairs.dest_offset IS 'constant that the bias coordinate adds to each upstream contribution into dest, over S';
COMMENT ON COLUMN pairs.src_offset IS 'constant that the bias coordinate adds to each upstream contribution into src, over S';
COMMENT ON COLUMN pairs.dest_offset_all IS 'dest_offset over every slice; null unless dump.all_slices';
COMMENT ON COLUMN pairs.src_offset_all IS 'src_offset over every slice; null unless dump.all_slices';
COMMENT ON COLUMN pairs.residual IS 'numerical error: |sum of the slices - sqrt(d_head) * score|, with dump.score=contrast of the difference';
