-- faithfulness: the logit difference with all heads but a circuit's ablated
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
COMMENT ON TABLE faithfulness IS 'the logit difference with all heads but a circuit''s ablated; grain: [count threshold, control, seed]';
COMMENT ON COLUMN faithfulness.min_count IS 'smallest count (of trace.count) of the circuit''s edges';
COMMENT ON COLUMN faithfulness.n_heads IS 'heads that are not ablated';
COMMENT ON COLUMN faithfulness.control IS 'traced: the heads of the circuit, with the roots; random: as many heads drawn from the model';
COMMENT ON COLUMN faithfulness.seed IS 'seed of the drawn heads; null for the circuit';
COMMENT ON COLUMN faithfulness.ablation IS 'replacement of the ablated heads'' outputs: mean or resample';
COMMENT ON COLUMN faithfulness.logit_diff IS 'mean over prompts of logit(answer) - logit(distractor) with only these heads, logits';
COMMENT ON COLUMN faithfulness.logit_diff_full IS 'the same with all heads';
COMMENT ON COLUMN faithfulness.logit_diff_none IS 'the same with all heads ablated';
COMMENT ON COLUMN faithfulness.accuracy IS 'share of the prompts with a positive logit difference with only these heads';
