"""The machine: atomic writes, locks, file digests, progress, memory limits, shell, safe text."""
