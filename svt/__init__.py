"""svt: circuits in transformer language models, traced through singular vectors, as data."""

import os

__version__ = "0.1.0"

# Read when torch is first imported. Threads that wait in a loop instead of asleep make many small
# operations ten times slower on a machine that has other work to do.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
