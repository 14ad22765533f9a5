-- faithfulness: what is left of the logit difference when only a circuit's heads are kept
-- grain: [count threshold, control, seed]
CREATE TABLE faithfulness (
    min_count        BIGINT NOT NULL,
    n_heads          INTEGER NOT NULL,
    control          circuit_control NOT NULL,
    seed             BIGINT,
    ablation         VARCHAR NOT NULL,
    logit_diff       DOUBLE NOT NULL,
    logit_diff_full  DOUBLE NOT NULL,
    logit_diff_none  DOUBLE NOT NULL,
    accuracy         DOUBLE NOT NULL
);
COMMENT ON TABLE faithfulness IS 'what is left of the logit difference when only a circuit''s heads are kept; grain: [count threshold, control, seed]';
COMMENT ON COLUMN faithfulness.min_count IS 'edges with at least this count (of trace.count) make the circuit, together with the roots';
COMMENT ON COLUMN faithfulness.n_heads IS 'heads that are kept; all others are ablated';
COMMENT ON COLUMN faithfulness.control IS 'traced: the heads of the circuit; random: as many heads drawn from the model';
COMMENT ON COLUMN faithfulness.seed IS 'seed of the drawn heads; null for the circuit';
COMMENT ON COLUMN faithfulness.ablation IS 'what the other heads'' outputs become: mean or resample';
COMMENT ON COLUMN faithfulness.logit_diff IS 'mean over prompts of logit(answer) - logit(distractor) with only these heads';
COMMENT ON COLUMN faithfulness.logit_diff_full IS 'the same with every head';
COMMENT ON COLUMN faithfulness.logit_diff_none IS 'the same with no head';
COMMENT ON COLUMN faithfulness.accuracy IS 'share of the prompts with a positive logit difference with only these heads';
