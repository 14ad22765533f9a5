"""From a model and prompts to columns of numbers: torch and NumPy, no database, no chart."""
