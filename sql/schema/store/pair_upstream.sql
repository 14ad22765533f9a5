-- pair_upstream: contributions of earlier components to a pair, as lists; `upstream` is the view with a row for each
-- grain: [pair, side, component]
CREATE TABLE pair_upstream (
    pair_id           BIGINT NOT NULL,
    side              side NOT NULL,
    component         component NOT NULL,
    contributions     FLOAT[] NOT NULL,
    contributions_all FLOAT[],
    weights_without   USMALLINT[]
);
COMMENT ON TABLE pair_upstream IS 'contributions of earlier components to a pair through one of its tokens, as lists; upstream is the view with a row for each; grain: [pair, side, component]';
COMMENT ON COLUMN pair_upstream.pair_id IS 'attention pair, as in pairs';
COMMENT ON COLUMN pair_upstream.side IS 'token of the pair that is written to: dest or src';
COMMENT ON COLUMN pair_upstream.component IS 'kind of the writer: head, mlp, embed, pos_embed or bias (of an attention layer''s output)';
COMMENT ON COLUMN pair_upstream.contributions IS 'contributions to the score through the signal set S (equation 8), by writer, of every writer below the pair''s layer';
COMMENT ON COLUMN pair_upstream.contributions_all IS 'the same through every slice; null unless dump.all_slices';
COMMENT ON COLUMN pair_upstream.weights_without IS 'the pair''s attention weight without the writer''s output at that token, in units of 1/65535, by writer; null unless dump.effects';
