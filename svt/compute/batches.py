"""The batches of prompts that share a forward pass, and the memory that their parts may take.

1. Prompts are sorted by length, so that there is little padding. A batch takes up to
   dump.batch_size of them, and no more tokens, padding included, than fit into its share of
   dump.memory_gb.
2. A third of that memory is for activations and the pairs chosen from them, one for the writers'
   outputs, one for the columns before they are stored and the probes of their pairs. Threads share
   the last two.

Batches follow from the prompts and the settings alone, so a resumed dump has the same ones.
"""

from collections.abc import Sequence

from svt.compute.forward import count_positions
from svt.compute.model import Model
from svt.config import DumpConfig
from svt.dataset.prompt import Prompt

SLICE_BYTES = 200  # of a slice of a pair while its signal and probe are computed
NUMBER_BYTES = 20  # of a contribution, computed and then written
_PAIR_BYTES = 64  # of a pair, from the forward pass to its columns
_DRAWING_BYTES = 80  # of a candidate of one head while dump.sample draws
_COPIES_OF_ATTENTION = 4  # scores and weights, on the device and as NumPy
_WIDTHS_OF_MLP = 12  # hidden layer before and after the activation, and intermediate results


def plan_batches(
    model: Model, prompts: Sequence[Prompt], dump: DumpConfig
) -> list[tuple[Prompt, ...]]:
    """Return the batches, shortest prompts first, each in order of prompt_id (step 1)."""
    batches: list[list[Prompt]] = [[]]
    for prompt in sorted(prompts, key=lambda p: (count_positions(p), p.prompt_id)):  # 1
        n = len(batches[-1]) + 1
        length = count_positions(prompt)
        needed = n * length * _bytes_per_token(model, length, dump)
        if batches[-1] and (n > dump.batch_size or needed > memory_share(dump)):
            batches.append([])
        batches[-1].append(prompt)
    return [tuple(sorted(batch, key=lambda p: p.prompt_id)) for batch in batches if batch]


def memory_share(dump: DumpConfig) -> float:
    """Return a third of dump.memory_gb, in bytes (step 2)."""
    return dump.memory_gb * 1e9 / 3


def _bytes_per_token(model: Model, length: int, dump: DumpConfig) -> int:
    """Return the bytes that a token takes in a batch of prompts of this length."""
    saved = model.n_layers * 3 * model.n_heads * model.d_head  # queries, keys, z
    saved += model.n_layers * model.d_model * (("mlp" in dump.components) + dump.effects)
    passing = _COPIES_OF_ATTENTION * model.n_heads * length + _WIDTHS_OF_MLP * model.d_model
    share_of_weight = max(dump.min_weight, 1 / length)  # at most 1 / share pairs of a head have it
    pairs = model.n_layers * model.n_heads * (1 / share_of_weight + dump.sample * length)
    chosen = _PAIR_BYTES * pairs + _DRAWING_BYTES * length * (dump.sample > 0)
    return int((saved + passing) * model.work_dtype.itemsize + chosen)
