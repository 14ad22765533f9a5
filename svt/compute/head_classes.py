"""The class of a head by the roles between which it fires, as the tables of a reference name it.

1. A head fires on a pair when its weight reaches the threshold, its score is at least 0 and the
   source is not the first token. Here only pairs of two different roles count.
2. Its class is the pair of roles on which it fires in most prompts, if in at least a quarter of
   them (half would miss heads that fire in one order of the names only). Of equally frequent pairs
   it is the first in the order of roles.
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
    """Return the class of every head that has one, such as `end->IO`."""
    positions = [{role: pos for pos, role in role_labels(prompt).items()} for prompt in prompts]
    present = {role for of_prompt in positions for role in of_prompt}
    roles = [*(r for r in ROLE_PRECEDENCE if r in present), *sorted(present - {*ROLE_PRECEDENCE})]
    if not roles:
        return {}
    at = np.array([[of.get(role, MISSING) for role in roles] for of in positions], np.int64)
    n_fired = np.zeros((model.n_layers, model.n_heads, len(roles), len(roles)), np.int64)

    def count(layer: int, weights: Tensor, scores: Tensor) -> None:
        row, dest, src = np.arange(len(batch))[:, None, None], batch[:, :, None], batch[:, None]
        fires = ((weights >= firing_weight) & (scores >= 0)).cpu().numpy()  # [prompt, head, ...]
        counts = (dest != MISSING) & (src > 0) & (src != dest)  # [prompt, role, role]; 1
        n_fired[layer] += (fires[row, :, dest, src] & counts[..., None]).sum(0).transpose(2, 0, 1)

    with torch.inference_mode():
        for start in range(0, len(prompts), batch_size):
            batch = at[start : start + batch_size]
            forward(model, pad_prompts(prompts[start : start + batch_size]), (), count)
    classes = {}
    for layer, head in np.ndindex(model.n_layers, model.n_heads):
        of_head = n_fired[layer, head]
        dest, src = np.unravel_index(of_head.argmax(), of_head.shape)
        if 4 * of_head[dest, src] >= len(prompts):  # 2
            classes[layer, head] = f"{roles[dest]}->{roles[src]}"
    return classes
