"""Columns of numbers from a model and prompts: torch and NumPy, no database, no charts."""
