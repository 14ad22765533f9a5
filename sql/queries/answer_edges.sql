-- purpose: direct effects of heads on the answer, for the roots and for other heads with a large share
-- params: min_share DOUBLE smallest absolute share of all heads' positive effects, for a head that is no root [= 0.02]
-- grain: [head]; no row if the prompts have no answers
-- columns: layer, head, is_root, n_prompts, n_positive, mean, share
-- `mean` is the head's direct effect at the end on logit(answer) - logit(distractor), in logits, averaged over prompts.
-- `share` is mean divided by the sum of all heads' positive means, by which trace.roots=auto selects roots.
-- `n_positive` is the number of prompts with an effect above 0.
WITH means AS (
    SELECT
        layer, head,
        count(*) AS n_prompts,
        count(*) FILTER (WHERE logit_diff_effect > 0) AS n_positive,
        avg(logit_diff_effect ORDER BY prompt_id) AS mean
    FROM head_effects
    GROUP BY layer, head
),
shares AS (
    SELECT *, mean / nullif(sum(greatest(mean, 0) ORDER BY layer, head) OVER (), 0) AS share FROM means
)
SELECT s.layer, s.head, r.layer IS NOT NULL AS is_root, s.n_prompts, s.n_positive, s.mean, s.share
FROM shares AS s
LEFT JOIN root_heads('run') AS r ON r.layer = s.layer AND r.head = s.head
WHERE r.layer IS NOT NULL OR abs(s.share) >= $min_share
ORDER BY s.mean DESC, s.layer, s.head;
