"""What the fork server of tests/faults/forked.py holds in memory: torch, and the tests' model.

Imported there and nowhere else: what has run torch in several threads must not be forked.
"""

import os

import torch

from svt.charts import page
from svt.cli import summary
from svt.compute import (
    ablate,  # noqa: F401
    decompose,
    dump,  # noqa: F401
    intervene,  # noqa: F401
    load,
    runner,  # noqa: F401
)
from svt.config import ModelConfig
from tests.faults.forked import MODEL_FOLDER

torch.set_num_threads(1)
MODEL = load.load_model(ModelConfig("planted", os.environ[MODEL_FOLDER], None, "cpu", "float32"))
SVD = decompose.decompose_model(MODEL)


def lend() -> None:
    """From now on this process finds the model loaded; it writes neither scripts nor a summary."""
    page._load_bundle = lambda: ""
    summary.summarise = lambda *_: ""
    load.load_model = lambda _: MODEL
    decompose.decompose_model = lambda _: SVD
