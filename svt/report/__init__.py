"""The contents of a run's report, its numbers, tables and figures, and its HTML page."""
