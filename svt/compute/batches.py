"""Which prompts share a forward pass, and how much memory its parts may take.

1. Prompts are sorted by length, so that little padding is computed. A batch takes up to
   dump.batch_size of them, and no more tokens, padding included, than its share of dump.memory_gb
   holds.
2. Of that memory a third goes to activations and the pairs chosen from them, one to what the
   writers add to the residual stream, one to what is on its way into the store and the probes
   that it is read with.

The prompts and the settings alone decide the batches, so a run that was killed finds its own again.
"""

from collections.abc import Sequence

from svt.compute.forward import count_positions
from svt.compute.model import Model
from svt.config import DumpConfig
from svt.dataset.prompt import Prompt

SLICE_BYTES = 200  # of a slice of a pair, while signals and probes are made of it
NUMBER_BYTES = 40  # of a contribution, while it is computed and once more while it is written
_PAIR_BYTES = 64  # of a pair, from the forward pass until its columns are made
_DRAWING_BYTES = 80  # of a candidate of one head, while dump.sample draws
_COPIES_OF_ATTENTION = 4  # scores and weights, on the device and as NumPy
_WIDTHS_OF_MLP = 12  # its hidden layer before and after the activation, and what leads there


def plan_batches(
    model: Model, prompts: Sequence[Prompt], dump: DumpConfig
) -> list[tuple[Prompt, ...]]:
    """The batches, shortest prompts first, each in order of prompt_id; every prompt is in one."""
    batches: list[list[Prompt]] = [[]]
    for prompt in sorted(prompts, key=lambda p: (count_positions(p), p.prompt_id)):  # 1
        n = len(batches[-1]) + 1
        needed = (
            n * count_positions(prompt) * _bytes_per_token(model, count_positions(prompt), dump)
        )
        if batches[-1] and (n > dump.batch_size or needed > memory_share(dump)):
            batches.append([])
        batches[-1].append(prompt)
    return [tuple(sorted(batch, key=lambda p: p.prompt_id)) for batch in batches if batch]


def memory_share(dump: DumpConfig) -> float:
    """A third of dump.memory_gb, bytes (step 2)."""
    return dump.memory_gb * 1e9 / 3


def _bytes_per_token(model: Model, length: int, dump: DumpConfig) -> int:
    kept = model.n_layers * 3 * model.n_heads * model.d_head  # queries, keys, z
    kept += model.n_layers * model.d_model * (("mlp" in dump.components) + dump.effects)
    passing = _COPIES_OF_ATTENTION * model.n_heads * length + _WIDTHS_OF_MLP * model.d_model
    share_of_weight = max(dump.min_weight, 1 / length)  # at most 1 / share pairs of a head have it
    pairs = model.n_layers * model.n_heads * (1 / share_of_weight + dump.sample * length)
    chosen = _PAIR_BYTES * pairs + _DRAWING_BYTES * length * (dump.sample > 0)
    return int((kept + passing) * model.work_dtype.itemsize + chosen)
