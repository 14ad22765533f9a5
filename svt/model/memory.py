"""Whether a model fits into memory, told before its weights are read.

1. What stays after loading follows from the files alone: the weights in the dtype of folding, the
   unembedding of its own that folding makes of a tied one, and once more whatever a family keeps
   side by side in one matrix (queries, keys and values; in phi3 also the two inputs of its MLPs),
   which is taken apart.
2. Folding writes all that anew while the old still stands, so loading needs it twice. The weight
   files are mapped meanwhile, pages that the system takes back when it is short of them.
   Peak resident memory of loading random weights of these shapes (smollm2: its own), in GB:

                     stays   mapped   2 * stays + mapped + libraries   measured
       gpt2-small     0.74     0.50                             2.42       2.65
       gpt2-medium    1.93     1.42                             5.72       5.77
       gpt2-large     4.06     3.10                            11.67      11.11
       smollm2        0.65     0.54                             2.29       2.45
       smollm2-360m   1.64     1.45                             5.17       5.40

3. What is more than memory and swap together cannot be loaded and is refused; what is more than is
   free now is told. Where the system does not say, nothing is.
"""

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

from svt.model.files import find_weight_files
from svt.system.memory import gigabytes, limits

logger = logging.getLogger(__name__)

LIBRARIES = 450_000_000  # bytes, of torch, transformers and transformer_lens themselves
_LONGEST_HEADER = 100_000_000  # bytes, of a safetensors file
_MASKS = (".attn.bias", ".attn.masked_bias")  # in the hub's own files, and never loaded
_UNEMBEDDINGS = ("lm_head.weight", "embed_out.weight")
_FUSED = {"c_attn", "query_key_value", "qkv_proj", "gate_up_proj"}  # gpt2, gpt_neox, phi3


@dataclass(frozen=True)
class MemoryNeeds:
    """Bytes: what stays of a loaded model, and of its mapped weight files."""

    stays: int
    mapped: int

    @property
    def least(self) -> int:
        """What loading cannot do without."""
        return 2 * self.stays

    @property
    def peak(self) -> int:
        """What it is expected to need."""
        return self.least + self.mapped + LIBRARIES


def check_memory(folder: Path, config: Mapping[str, Any], item_bytes: int) -> None:
    """Raise SvtError when the model in `folder` cannot fit (step 3); says when it may not.

    `config` is its config.json; `item_bytes` are those of a folded weight.
    """
    has = limits()
    needs = estimate_needs(folder, config, item_bytes)
    has.check(
        needs.least,
        f"{folder}: loading holds the weights twice while they are folded,",
        "take a machine with more memory or a smaller model",
    )
    if needs.peak > has.free:
        logger.warning(
            f"warning: loading is expected to need {gigabytes(needs.peak)} of memory and "
            f"{gigabytes(has.free)} are free; it may be slow, or the system may end it"
        )


def estimate_needs(folder: Path, config: Mapping[str, Any], item_bytes: int) -> MemoryNeeds:
    """Step 1, of a model of any family; what its files do not say counts nothing."""
    files = find_weight_files(folder)
    tensors = {name: n for file in files for name, n in _tensors(file).items()}
    held = sum(n for name, n in tensors.items() if not name.endswith(_MASKS))
    fused = sum(n for name, n in tensors.items() if {*name.split(".")} & _FUSED)
    tied = not any(name.endswith(_UNEMBEDDINGS) for name in tensors)
    width = config.get("hidden_size", config.get("n_embd"))
    shape = (n if isinstance(n, int) else 0 for n in (config.get("vocab_size"), width))
    numbers = held + fused + tied * prod(shape)
    return MemoryNeeds(numbers * item_bytes, sum(file.stat().st_size for file in files))


def _tensors(file: Path) -> dict[str, int]:
    """How many numbers each tensor has, from a safetensors file's header.

    None of a file that is broken: reading its weights will say so.
    """
    try:
        with file.open("rb") as opened:
            size = int.from_bytes(opened.read(8), "little")
            header = json.loads(opened.read(min(size, _LONGEST_HEADER)))
        return {
            name: prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__"
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
