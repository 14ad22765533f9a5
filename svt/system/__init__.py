"""The machine: atomic file writes, file digests, progress, memory limits, shell quoting."""
