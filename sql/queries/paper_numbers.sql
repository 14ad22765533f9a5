-- purpose: the numbers that the paper states for GPT-2 small, and the values of this run
-- params: count VARCHAR the count that the paper's numbers refer to [= trace.count]
--         firing_weight DOUBLE smallest attention weight of a firing [= trace.firing_weight]
-- grain: [number of the paper]
-- columns: place, quantity, stated, measured
-- `stated` is the paper's number, or its word where it gives none. `measured` is null if the stage that measures it did
-- not run or the head never fires. The paper's counts are for 256 prompts; with another number of prompts the
-- thresholds 65, 100 and 170 scale in proportion. The published graph counts visits, as do the values compared with it.
-- The heads of a circuit are the heads of its edges and the roots.
WITH stated (number, place, quantity, stated, name) AS (
    VALUES
    (1, 'section 3', 'layers', '12', 'layers'),
    (2, 'section 3', 'heads a layer', '12', 'heads'),
    (3, 'section 3', 'width of the residual stream', '768', 'width'),
    (4, 'section 3', 'slices of a head', '64', 'slices'),
    (5, 'section 4.3', 'prompts', '256', 'prompts'),
    (6, 'section 4.3', 'different names', '106', 'names'),
    (7, 'section 4.3', 'templates', '15', 'templates'),
    (8, 'section 4.3', 'tokens of the shortest prompt', '14', 'shortest'),
    (9, 'section 4.3', 'tokens of the longest prompt', '20', 'longest'),
    (10, 'section 4.1, figure 3', 'share of firings with at most 20 slices in the signal', 'typically', 'few slices'),
    (11, 'section 4.1, figure 3', 'share of firings with 2 or 3 slices in the signal', 'often', 'two or three slices'),
    (12, 'figure 1', 'score of a firing of 8.6, before the division (mean; the paper: one)', '28.1', 'score of 8.6'),
    (13, 'figure 1', 'attention weight of a firing of 8.6 (mean; the paper: one)', '0.83', 'weight of 8.6'),
    (14, 'figure 2', 'slices in the signal of half of the firings of 8.6', 'about 6', 'slices of 8.6'),
    (15, 'figure 2', 'slices in the signal of half of the firings of 4.11', '1', 'slices of 4.11'),
    (16, 'appendix', 'slices in the signal of 100 firings of 9.9', '12', 'slices of 9.9'),
    (17, 'section 5.2, figure 4', 'rank of 8.6 in what writes for 9.9 at the end', 'it stands out', 'signal rank for 9.9'),
    (18, 'section 5.2, figure 4', 'rank of 8.6 in what writes for 10.0 at the end', 'it stands out', 'signal rank for 10.0'),
    (19, 'section 5.2, figure 4', 'rank of 8.6 in what writes for 9.9 at the end, over all slices', 'not evident', 'rank for 9.9'),
    (20, 'section 5.2, figure 4', 'rank of 8.6 in what writes for 10.0 at the end, over all slices', 'not evident', 'rank for 10.0'),
    (21, 'section 5.3', 'share of the traced firings of 2.8 that attend to the verb', 'it does', 'verb'),
    (22, 'appendix', 'heads of Wang et al. that a trace from the roots can reach', '16', 'reachable'),
    (23, 'figure 15', 'heads at 170', '21', 'heads at 170'),
    (24, 'figure 15', 'heads of Wang et al. at 170', '11', 'hits at 170'),
    (25, 'figure 15', 'precision at 170', '0.52', 'precision at 170'),
    (26, 'figure 15', 'recall at 170, of the reachable', '0.69', 'recall at 170'),
    (27, 'published graph', 'edges, counted at all', '533', 'edges'),
    (28, 'published graph', 'edges at 65 visits', '122', 'edges at 65'),
    (29, 'published graph', 'edges at 170 visits', '31', 'edges at 170'),
    (30, 'published graph', 'heads at 170 visits', '23', 'visited heads'),
    (31, 'published graph', 'heads of Wang et al. at 170 visits', '11', 'visited hits'),
    (32, 'published graph', 'largest count of an edge', '434', 'largest'),
    (33, 'section 5.4', 'share of changed edges whose global ablation lowers the logit difference', 'almost all', 'global ablate'),
    (34, 'section 5.4', 'share of changed edges whose local ablation lowers it', 'almost all', 'local_qkv ablate'),
    (35, 'section 5.4', 'share of changed edges whose global boosting raises it', 'generally', 'global boost'),
    (36, 'section 5.4', 'share of changed edges whose local boosting raises it', 'generally', 'local_qkv boost'),
    (37, 'section 5.4', 'rank correlation of weight and size of the effect, global ablation', 'positive', 'correlation'),
    (38, 'section 5.4', 'share of local changes with a cosine similarity above 0.999', 'generally', 'cosine'),
    (39, 'section 5.4', 'share of local changes that change the norm by less than 1%', 'typically', 'norm'),
    (40, 'figure 7', 'effect of all edges out of 0.9 and 0.11 over the sum of both, global', 'additive: 1', 'additive'),
    (41, 'figures 17, 19', 'share of edges into 9.6 at end and 10.0 at IO whose global ablation lowers the score', 'all', 'scores global'),
    (42, 'figures 18, 20', 'share of edges into 9.6 at end and 10.0 at IO whose local ablation lowers the score', 'all', 'scores local_qkv'),
    (43, 'figures 17, 21', 'share of edges into 9.6 at end whose global ablation lowers the logit difference', 'generally', '9.6 global'),
    (44, 'figures 18, 21', 'share of edges into 9.6 at end whose local ablation raises it', 'all', '9.6 local_qkv')
),
thresholds AS (
    SELECT
        ceil(count(*) * 65 / 256) AS seldom,
        ceil(count(*) * 100 / 256) AS consensus,
        ceil(count(*) * 170 / 256) AS often
    FROM prompts
),
name_tokens AS (
    SELECT DISTINCT token FROM tokens JOIN roles USING (prompt_id, pos) WHERE role IN ('IO', 'S1')
),
of_prompts AS (
    SELECT
        count(*) AS prompts, count(DISTINCT template) AS templates, min(n_tokens) AS shortest,
        max(n_tokens) AS longest
    FROM prompts
),
firing AS (
    SELECT p.*, concat(p.layer, '.', p.head) AS name, d.role AS dest_role, s.role AS src_role
    FROM pairs AS p
    LEFT JOIN roles AS d ON d.prompt_id = p.prompt_id AND d.pos = p.dest
    LEFT JOIN roles AS s ON s.prompt_id = p.prompt_id AND s.pos = p.src
    WHERE p.eligible AND p.weight >= $firing_weight
),
signals AS (
    SELECT
        avg((n_slices <= 20)::INTEGER) AS few,
        avg((n_slices IN (2, 3))::INTEGER) AS two_or_three,
        avg(omega_score) FILTER (WHERE name = '8.6') AS score,
        avg(weight::DOUBLE) FILTER (WHERE name = '8.6') AS weight
    FROM firing
),
slice_use AS (
    SELECT
        f.name, s.k,
        count(*) FILTER (WHERE s.in_signal) AS n_in_signal,
        n_in_signal >= count(*) / 2 AS in_half
    FROM firing AS f
    JOIN slices AS s USING (pair_id)
    WHERE f.name IN ('8.6', '4.11', '9.9')
    GROUP BY f.name, s.k
),
slices_used AS (
    SELECT
        u.name,
        count(*) FILTER (WHERE u.in_half) AS in_half,
        count(*) FILTER (WHERE u.n_in_signal >= t.consensus) AS in_consensus
    FROM slice_use AS u, thresholds AS t
    GROUP BY u.name
),
written_at_end AS (
    SELECT
        f.name, concat(u.up_layer, '.', u.up_head) AS up_name,
        rank() OVER (PARTITION BY f.name ORDER BY avg(u.contribution) DESC) AS signal_rank,
        CASE
            WHEN avg(u.contribution_all) IS NOT NULL
            THEN rank() OVER (PARTITION BY f.name ORDER BY avg(u.contribution_all) DESC)
        END AS rank
    FROM firing AS f
    JOIN upstream AS u USING (pair_id)
    WHERE f.name IN ('9.9', '10.0') AND f.dest_role = 'end' AND u.side = 'dest' AND u.component = 'head'
    GROUP BY f.name, up_name
),
of_the_verb AS (
    SELECT avg(coalesce(f.src_role = 'verb', false)::INTEGER) AS share
    FROM firing AS f
    SEMI JOIN trace_pairs AS t ON t.pair_id = f.pair_id
    WHERE f.name = '2.8'
),
at_170 AS (
    SELECT e.*
    FROM evaluation AS e, thresholds AS t
    WHERE e.reference = 'wang2023'
    QUALIFY row_number() OVER (
        PARTITION BY e.count ORDER BY e.min_count < t.often, abs(e.min_count - t.often)
    ) = 1
),
visited AS (
    SELECT
        count(*) AS edges,
        count(*) FILTER (WHERE n_visits >= t.seldom) AS at_65,
        count(*) FILTER (WHERE n_visits >= t.often) AS at_170,
        max(n_visits) AS largest
    FROM graph_edges, thresholds AS t
    WHERE component = 'head'
    HAVING count(*) > 0
),
edges AS MATERIALIZED (
    SELECT
        *, concat(layer, '.', head) AS name,
        CASE side::VARCHAR WHEN 'dest' THEN dest_role ELSE src_role END AS role
    FROM changed_edges('interventions', 'intervention_effects', 'any', 'any', 0, 0)
),
expected AS (
    SELECT
        scope::VARCHAR AS scope, kind::VARCHAR AS kind,
        avg((CASE kind WHEN 'ablate' THEN effect < 0 ELSE effect > 0 END)::INTEGER) AS share,
        avg((CASE scope WHEN 'global' THEN effect < 0 ELSE effect > 0 END)::INTEGER) FILTER (
            WHERE name = '9.6' AND role = 'end'
        ) AS into_9_6,
        avg((score_effect < 0)::INTEGER) FILTER (
            WHERE (name = '9.6' AND role = 'end') OR (name = '10.0' AND role = 'IO')
        ) AS of_scores
    FROM edges
    GROUP BY scope, kind
),
ranked AS (
    SELECT
        rank() OVER (ORDER BY weight) + count(*) OVER (PARTITION BY weight) / 2 AS by_weight,
        rank() OVER (ORDER BY abs(effect)) + count(*) OVER (PARTITION BY abs(effect)) / 2 AS by_size
    FROM edges
    WHERE scope = 'global' AND kind = 'ablate' AND weight IS NOT NULL AND effect IS NOT NULL
),
local_changes AS (
    SELECT
        avg((e.cosine > 0.999)::INTEGER) AS alike,
        avg((abs(e.norm_ratio - 1) < 0.01)::INTEGER) AS as_long
    FROM intervention_effects AS e
    JOIN interventions AS i USING (intervention_id)
    WHERE i.layer IS NOT NULL AND i.control = 'signal' AND i.scope = 'local_qkv'
),
of_sets AS (
    SELECT label, effect
    FROM changed('interventions', 'intervention_effects', true, 'global', 'ablate', 0, 0)
),
measured (name, measured) AS (
    SELECT unnest(['layers', 'heads', 'width', 'slices']), unnest([n_layers, n_heads, d_model, d_head]::DOUBLE[]) FROM dump
    UNION ALL SELECT 'names', count(*) FROM name_tokens
    UNION ALL SELECT unnest(['prompts', 'templates', 'shortest', 'longest']), unnest([prompts, templates, shortest, longest]) FROM of_prompts
    UNION ALL SELECT unnest(['few slices', 'two or three slices']), unnest([few, two_or_three]) FROM signals
    UNION ALL SELECT unnest(['score of 8.6', 'weight of 8.6']), unnest([score, weight]) FROM signals
    UNION ALL SELECT concat('slices of ', name), CASE name WHEN '9.9' THEN in_consensus ELSE in_half END FROM slices_used
    UNION ALL SELECT concat('signal rank for ', name), signal_rank FROM written_at_end WHERE up_name = '8.6'
    UNION ALL SELECT concat('rank for ', name), rank FROM written_at_end WHERE up_name = '8.6'
    UNION ALL SELECT 'verb', share FROM of_the_verb
    UNION ALL SELECT 'reachable', nullif(count(*) FILTER (WHERE reachable), 0) FROM reference_heads WHERE reference = 'wang2023'
    UNION ALL SELECT unnest(['heads at 170', 'hits at 170']), unnest([n_heads, tp]) FROM at_170 WHERE count::VARCHAR = $count
    UNION ALL SELECT unnest(['precision at 170', 'recall at 170']), unnest([precision, recall_reachable]) FROM at_170 WHERE count::VARCHAR = $count
    UNION ALL SELECT unnest(['edges', 'edges at 65', 'edges at 170', 'largest']), unnest([edges, at_65, at_170, largest]) FROM visited
    UNION ALL SELECT unnest(['visited heads', 'visited hits']), unnest([n_heads, tp]) FROM at_170 WHERE count::VARCHAR = 'visits'
    UNION ALL SELECT concat(scope, ' ', kind), share FROM expected
    UNION ALL SELECT concat('scores ', scope), of_scores FROM expected WHERE kind = 'ablate'
    UNION ALL SELECT concat('9.6 ', scope), into_9_6 FROM expected WHERE kind = 'ablate'
    UNION ALL SELECT 'correlation', nullif(corr(by_weight, by_size ORDER BY by_weight, by_size), 'nan'::DOUBLE) FROM ranked
    UNION ALL SELECT unnest(['cosine', 'norm']), unnest([alike, as_long]) FROM local_changes
    UNION ALL
    SELECT
        'additive',
        max(effect) FILTER (WHERE label = 'parallel: out of 0.9 and 0.11')
        / nullif(
            max(effect) FILTER (WHERE label = 'parallel: out of 0.9')
            + max(effect) FILTER (WHERE label = 'parallel: out of 0.11'),
            0
        )
    FROM of_sets
)
SELECT s.place, s.quantity, s.stated, m.measured
FROM stated AS s
LEFT JOIN measured AS m USING (name)
ORDER BY s.number;
