-- head_effects: each head's direct effect on the logit difference; empty without answers
-- grain: [prompt, layer, head]
CREATE TABLE head_effects (
    prompt_id         INTEGER NOT NULL,
    layer             UTINYINT NOT NULL,
    head              UTINYINT NOT NULL,
    logit_diff_effect FLOAT NOT NULL
);
COMMENT ON TABLE head_effects IS 'each head''s direct effect on the logit difference; empty without answers; grain: [prompt, layer, head]';
COMMENT ON COLUMN head_effects.prompt_id IS 'prompt, as in prompts';
COMMENT ON COLUMN head_effects.layer IS 'layer of the head, from 0';
COMMENT ON COLUMN head_effects.head IS 'head within its layer, from 0';
COMMENT ON COLUMN head_effects.logit_diff_effect IS 'direct effect at the role end on logit(answer) - logit(distractor), as in prompts, through the final LayerNorm''s scale, logits';
