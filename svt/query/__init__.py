"""Read stores and results: named queries, the trace, the evaluation."""
