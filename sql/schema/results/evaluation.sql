-- evaluation: precision and recall of the traced circuit against each reference, at every threshold that changes it
-- grain: [reference, count kind, min_count]
CREATE TABLE evaluation (
    reference        VARCHAR NOT NULL,
    count            count_kind NOT NULL,
    min_count        BIGINT NOT NULL,
    n_heads          INTEGER NOT NULL,
    tp               INTEGER NOT NULL,
    precision        DOUBLE,
    recall           DOUBLE,
    recall_reachable DOUBLE,
    f1               DOUBLE
);
COMMENT ON TABLE evaluation IS 'precision and recall of the traced circuit against each reference, at every threshold that changes it; grain: [reference, count kind, min_count]';
COMMENT ON COLUMN evaluation.reference IS 'name of the reference';
COMMENT ON COLUMN evaluation.count IS 'the count of graph_edges that the threshold applies to: prompts, firings or visits';
COMMENT ON COLUMN evaluation.min_count IS 'smallest count of the circuit''s edges; thresholds down to the next smaller row have the same circuit';
COMMENT ON COLUMN evaluation.n_heads IS 'heads of the circuit: the heads of its edges and its roots';
COMMENT ON COLUMN evaluation.tp IS 'true positives: heads of the circuit that are in the reference';
COMMENT ON COLUMN evaluation.precision IS 'tp / n_heads; null when the circuit is empty';
COMMENT ON COLUMN evaluation.recall IS 'tp / heads of the reference; null when it is empty';
COMMENT ON COLUMN evaluation.recall_reachable IS 'reachable heads of the reference in the circuit / reachable heads of the reference; null when there is none';
COMMENT ON COLUMN evaluation.f1 IS '2 tp / (n_heads + heads of the reference); null when both are empty';
