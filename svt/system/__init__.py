"""The machine: atomic file writes, file digests, progress, memory limits, shell, safe text."""
