"""From which role onto which the heads of a model fire: the class that a reference gives them.

1. A head fires on a pair as everywhere: its weight reaches the threshold, its score is at least 0
   and the source is not the first token. Here only pairs of two different roles count.
2. Its class is the pair of roles on which it fires in most prompts, if it does in at least a
   quarter (half would miss what a head does in one order of the names); of equal pairs the first
   by the order of roles.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from svt.compute.forward import forward, pad_prompts
from svt.compute.model import Model
from svt.config import Head
from svt.dataset.prompt import ROLE_PRECEDENCE, Prompt, role_labels

MISSING = -1


def classify_heads(
    model: Model, prompts: Sequence[Prompt], firing_weight: float, batch_size: int
) -> dict[Head, str]:
    """The class of every head that has one, such as `end->IO`."""
    found = [{role: at for at, role in role_labels(prompt).items()} for prompt in prompts]
    named = {role for places in found for role in places}
    roles = [*(r for r in ROLE_PRECEDENCE if r in named), *sorted(named - {*ROLE_PRECEDENCE})]
    if not roles:
        return {}
    at = np.array([[places.get(role, MISSING) for role in roles] for places in found], np.int64)
    fired = np.zeros((model.n_layers, model.n_heads, len(roles), len(roles)), np.int64)

    def count(layer: int, weights: Tensor, scores: Tensor) -> None:
        row, dest, src = np.arange(len(here))[:, None, None], here[:, :, None], here[:, None]
        fires = ((weights >= firing_weight) & (scores >= 0)).cpu().numpy()  # [prompt, head, ...]
        there = (dest != MISSING) & (src > 0) & (src != dest)  # [prompt, role, role]; 1
        fired[layer] += (fires[row, :, dest, src] & there[..., None]).sum(0).transpose(2, 0, 1)

    with torch.inference_mode():
        for start in range(0, len(prompts), batch_size):
            here = at[start : start + batch_size]
            forward(model, pad_prompts(prompts[start : start + batch_size]), (), count)
    classes = {}
    for layer, head in np.ndindex(model.n_layers, model.n_heads):
        dest, src = np.unravel_index(fired[layer, head].argmax(), fired.shape[2:])
        if 4 * fired[layer, head, dest, src] >= len(prompts):  # 2
            classes[layer, head] = f"{roles[dest]}->{roles[src]}"
    return classes
