-- prompts: the prompts with the model's answers
-- grain: [prompt]
CREATE TABLE prompts (
    prompt_id      INTEGER NOT NULL,
    text           VARCHAR,
    n_tokens       USMALLINT NOT NULL,
    template       VARCHAR,
    pattern        VARCHAR,
    answer         VARCHAR,
    distractor     VARCHAR,
    logit_diff     FLOAT,
    correct        BOOLEAN,
    original_id    INTEGER,
    original       VARCHAR,
    counterfactual VARCHAR
);
COMMENT ON TABLE prompts IS 'the prompts with the model''s answers; grain: [prompt]';
COMMENT ON COLUMN prompts.prompt_id IS 'prompt, from 0';
COMMENT ON COLUMN prompts.text IS 'the prompt as text; decoded from its tokens where the dataset has only these';
COMMENT ON COLUMN prompts.n_tokens IS 'length in tokens';
COMMENT ON COLUMN prompts.template IS 'template of the prompt; null when unknown';
COMMENT ON COLUMN prompts.pattern IS 'order of the names, ABBA or BABA; null when unknown';
COMMENT ON COLUMN prompts.answer IS 'correct next tokens, as in answers, separated by a bar; null when unknown';
COMMENT ON COLUMN prompts.distractor IS 'incorrect next tokens for comparison, separated by a bar; null when unknown';
COMMENT ON COLUMN prompts.logit_diff IS 'logit(answer) - logit(distractor) at the role end, or the last token without one, each the mean over its tokens, logits; null without answer or distractor';
COMMENT ON COLUMN prompts.correct IS 'whether logit_diff > 0 or, without a distractor, an answer has the largest logit; null without an answer';
COMMENT ON COLUMN prompts.original_id IS 'prompt_id of the original of a counterfactual prompt, in the dataset without dataset.counterfactual; null for others';
COMMENT ON COLUMN prompts.original IS 'text of the original; null for others';
COMMENT ON COLUMN prompts.counterfactual IS 'kind of the counterfactual: swapped, abc or year01; null for others';
