"""DuckDB: attaching stores and results as catalogs, read-only unless they are being written."""
