"""The files of a checkpoint and the memory that it needs, without importing torch."""
