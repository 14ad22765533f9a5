"""svt: circuits in transformer language models, traced through singular vectors, as data."""

__version__ = "0.1.0"
