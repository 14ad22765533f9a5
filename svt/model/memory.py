"""The memory that loading a model needs, estimated before its weights are read.

1. The memory of the loaded model follows from the files: the weights in the dtype of folding, a
   copy of the unembedding if it is tied, and a copy of matrices that are stored fused and then
   split (queries, keys and values; in phi3 also the two inputs of its MLPs).
2. Folding writes new weights while the old ones exist, so loading needs twice that memory. The
   weight files are mapped meanwhile; the system may drop these pages when memory is short.
   Peak resident memory of loading random weights of these shapes (smollm2: its own), in GB:

                     stays   mapped   2 * stays + mapped + libraries   measured
       gpt2-small     0.74     0.50                             2.42       2.65
       gpt2-medium    1.93     1.42                             5.72       5.77
       gpt2-large     4.06     3.10                            11.67      11.11
       smollm2        0.65     0.54                             2.29       2.45
       smollm2-360m   1.64     1.45                             5.17       5.40

3. A model that needs more than memory and swap together is refused; one that needs more than is
   free now gets a warning. On systems that report no limits nothing is checked.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from svt.model.files import find_weight_files
from svt.system.memory import gigabytes, read_limits

logger = logging.getLogger(__name__)

LIBRARIES = 450_000_000  # bytes of torch, transformers and transformer_lens themselves
_MASKS = (".attn.bias", ".attn.masked_bias")  # in the hub's files, but never loaded
_UNEMBEDDINGS = ("lm_head.weight", "embed_out.weight")
_FUSED = {"c_attn", "query_key_value", "qkv_proj", "gate_up_proj"}  # gpt2, gpt_neox, phi3


@dataclass(frozen=True)
class MemoryNeeds:
    """The memory of a loaded model and of its mapped weight files, in bytes."""

    stays: int
    mapped: int

    @property
    def least(self) -> int:
        """Return the memory without which loading fails."""
        return 2 * self.stays

    @property
    def peak(self) -> int:
        """Return the expected peak."""
        return self.least + self.mapped + LIBRARIES


def check_memory(folder: Path, config: Mapping[str, Any], item_bytes: int) -> None:
    """Raise SvtError when the model in `folder` cannot fit, warn when it may not (step 3).

    config: its config.json. item_bytes: bytes of a folded weight.
    """
    memory = read_limits()
    needs = estimate_needs(folder, config, item_bytes)
    memory.check(
        needs.least,
        f"{folder}: loading holds the weights twice while they are folded,",
        "take a machine with more memory or a smaller model",
    )
    if needs.peak > memory.free:
        logger.warning(
            f"warning: loading is expected to need {gigabytes(needs.peak)} of memory and "
            f"{gigabytes(memory.free)} are free; it may be slow, or the system may end it"
        )


def estimate_needs(folder: Path, config: Mapping[str, Any], item_bytes: int) -> MemoryNeeds:
    """Return the needs of a model of any family (step 1); missing entries of files count as 0."""
    files = find_weight_files(folder)
    tensors = {name: n for file in files for name, n in _read_sizes(file).items()}
    loaded = sum(n for name, n in tensors.items() if not name.endswith(_MASKS))
    fused = sum(n for name, n in tensors.items() if {*name.split(".")} & _FUSED)
    tied = not any(name.endswith(_UNEMBEDDINGS) for name in tensors)
    width = config.get("hidden_size", config.get("n_embd"))
    shape = (n if isinstance(n, int) else 0 for n in (config.get("vocab_size"), width))
    numbers = loaded + fused + tied * prod(shape)
    return MemoryNeeds(numbers * item_bytes, sum(file.stat().st_size for file in files))


def _read_sizes(file: Path) -> dict[str, int]:
    """Return the number of elements of each tensor, from the header of a safetensors file.

    A damaged file gives none; loading its weights raises the error.
    """
    try:
        with safe_open(file, framework="np") as opened:
            names = opened.keys()
            return {name: prod(opened.get_slice(name).get_shape()) for name in names}
    except (OSError, SafetensorError):
        return {}
