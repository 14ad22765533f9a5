"""The stages of a run, one file each, and the checks before the first of them starts."""
