"""What the report of a run says: its numbers, tables and figures, and the page they stand on."""
