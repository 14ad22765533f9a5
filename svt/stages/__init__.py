"""The stages of a run, one file each, and what is refused before the first of them starts."""
