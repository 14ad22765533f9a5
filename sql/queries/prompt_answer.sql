-- purpose: what heads write for the answer of one prompt directly, roots and strong others
-- params: prompt_id INTEGER the prompt [= 0]
--         min_share DOUBLE least share of all heads' positive effects, either way, of a head that is no root [= 0.02]
-- grain: [head]; none where the prompt has no answer and distractor
-- columns: layer, head, is_root, pos, effect, share
-- `pos` is the token after which the answer is expected, the role end or the last one; `effect` is the head's direct
-- effect there on logit(answer) - logit(distractor), `share` that of the sum of all heads' positive effects.
WITH ends AS (
    SELECT coalesce(r.pos, p.n_tokens - 1) AS pos
    FROM prompts AS p
    LEFT JOIN roles AS r ON r.prompt_id = p.prompt_id AND r.role = 'end'
    WHERE p.prompt_id = $prompt_id
),
shares AS (
    SELECT
        layer, head,
        logit_diff_effect AS effect,
        logit_diff_effect
        / nullif(sum(greatest(logit_diff_effect, 0) ORDER BY layer, head) OVER (), 0) AS share
    FROM head_effects
    WHERE prompt_id = $prompt_id
)
SELECT s.layer, s.head, r.layer IS NOT NULL AS is_root, e.pos, s.effect, s.share
FROM shares AS s
CROSS JOIN ends AS e
LEFT JOIN root_heads('run') AS r ON r.layer = s.layer AND r.head = s.head
WHERE r.layer IS NOT NULL OR abs(s.share) >= $min_share
ORDER BY s.effect DESC, s.layer, s.head;
