"""Hugging Face's own models in double precision throughout, for tests.

transformers computes norms, softmaxes and rotations in float32 also where the weights are float64.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import AutoModelForCausalLM, PreTrainedModel


@contextmanager
def double_precision() -> Iterator[None]:
    """Let all that asks for single precision have double."""
    with (
        patch.object(torch, "float32", torch.float64),
        patch.object(torch, "float", torch.float64),
        patch.object(Tensor, "float", Tensor.double),
        torch.no_grad(),
    ):
        yield


def load_double(folder: Path) -> PreTrainedModel:
    """Load a checkpoint as its own class; it is double under double_precision()."""
    stored = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float64)
    with double_precision():  # rotations are computed here, not loaded
        model = AutoModelForCausalLM.from_config(
            stored.config, dtype=torch.float64, attn_implementation="eager"
        )
    model.load_state_dict(stored.state_dict())
    return model.eval()


def hf_logits(model: PreTrainedModel, tokens: Sequence[int]) -> NDArray[np.float64]:
    """Logits [position, vocabulary] of one prompt."""
    with double_precision():
        logits: Tensor = model(torch.tensor([list(tokens)]), use_cache=False).logits[0]
    return logits.numpy()
