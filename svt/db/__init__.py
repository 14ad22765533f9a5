"""Attach stores and results to DuckDB as catalogs, read-only unless they are being written."""
