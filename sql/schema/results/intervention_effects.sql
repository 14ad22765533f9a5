-- intervention_effects: effects of an intervention on each prompt and pair
-- grain: [intervention, prompt, pair]
CREATE TABLE intervention_effects (
    intervention_id   INTEGER NOT NULL,
    prompt_id         INTEGER NOT NULL,
    pair_id           BIGINT NOT NULL,
    n_slices          USMALLINT NOT NULL,
    logit_diff        FLOAT,
    logit_diff_after  FLOAT,
    score             FLOAT NOT NULL,
    score_after       FLOAT NOT NULL,
    weight            FLOAT NOT NULL,
    weight_after      FLOAT NOT NULL,
    cosine            FLOAT NOT NULL,
    norm_ratio        FLOAT NOT NULL,
    resid_cosine      FLOAT NOT NULL,
    resid_norm_ratio  FLOAT NOT NULL,
    answer_rank       INTEGER,
    answer_rank_after INTEGER
);
COMMENT ON TABLE intervention_effects IS 'effects of an intervention on each prompt and pair; grain: [intervention, prompt, pair]';
COMMENT ON COLUMN intervention_effects.intervention_id IS 'intervention, as in interventions';
COMMENT ON COLUMN intervention_effects.prompt_id IS 'prompt, as in prompts';
COMMENT ON COLUMN intervention_effects.pair_id IS 'changed pair of the downstream head, as in pairs; a single edge changes one pair at a time, a set all pairs of a prompt together';
COMMENT ON COLUMN intervention_effects.n_slices IS 'number of slices that span the change; fewer than the signal''s where its complement is smaller';
COMMENT ON COLUMN intervention_effects.logit_diff IS 'logit(answer) - logit(distractor) at the role end in the undisturbed run, as in prompts; null without answer or distractor';
COMMENT ON COLUMN intervention_effects.logit_diff_after IS 'the same in the changed run';
COMMENT ON COLUMN intervention_effects.score IS 'attention score of the pair in the undisturbed run, divided by sqrt(d_head)';
COMMENT ON COLUMN intervention_effects.score_after IS 'the same in the changed run';
COMMENT ON COLUMN intervention_effects.weight IS 'attention weight of the pair in the undisturbed run';
COMMENT ON COLUMN intervention_effects.weight_after IS 'the same in the changed run';
COMMENT ON COLUMN intervention_effects.cosine IS 'cosine similarity of the changed vector before and after: global, the layer''s attention output at the token; local, the normalised input there';
COMMENT ON COLUMN intervention_effects.norm_ratio IS 'norm of that vector after / before';
COMMENT ON COLUMN intervention_effects.resid_cosine IS 'cosine similarity of the residual stream there before and after: global, after the attention layer; local, as the input of the downstream head';
COMMENT ON COLUMN intervention_effects.resid_norm_ratio IS 'norm of that vector after / before';
COMMENT ON COLUMN intervention_effects.answer_rank IS 'rank of the answer (the best of its tokens) among all next tokens in the undisturbed run, from 1; null without an answer';
COMMENT ON COLUMN intervention_effects.answer_rank_after IS 'the same in the changed run';
