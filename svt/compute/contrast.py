"""The other sources of a pair, weighted as if src were masked (dump.score=contrast).

1. The other sources of a pair (dest, src) are the tokens that its head may attend to from dest, up
   to dest and within the layer's sliding window, except src.
2. Their weights are the softmax, without src, of their scores after the model's soft cap. These are
   A_j' / (1 - A_src), exact also where src has nearly all of the weight A.
3. Their mean key and mean score use these weights, the score before a cap; 0 where there is no
   other source. The score of src minus the mean is its lead, the gradient of
   log(A_src / (1 - A_src)).
"""

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from svt.compute.forward import Activations
from svt.compute.pairs import Pairs, group_by
from svt.compute.scoring import Scoring

PIECE_NUMBERS = 2**23  # scores computed at once


def average_other_sources(
    g_k: Float[Tensor, "layer head slice r"],
    acts: Activations,
    pairs: Pairs,
    token: Int[np.ndarray, "pair side"],
    scoring: Sequence[Scoring],
) -> tuple[Float[np.ndarray, "pair slice"], Float64[np.ndarray, " pair"]]:
    """Return the mean src_coord of every pair's other sources, and their mean score.

    g_k: G_K. scoring: of each layer.
    """
    n_heads, r = g_k.shape[1:3]
    coord, score = g_k.new_empty(len(pairs), r), g_k.new_empty(len(pairs))
    for value, of_head in group_by(pairs.layer * n_heads + pairs.head):
        layer, head = divmod(value, n_heads)
        inputs, layer_scoring = acts.inputs[layer], scoring[layer]
        reach = np.minimum(pairs.dest[of_head] + 1, layer_scoring.window or acts.position.numel())
        first = token[of_head, 0] - reach + 1  # [pair], first token that dest may attend to
        start, stop = int(first.min()), int(token[of_head, 0].max()) + 1
        keys, at = inputs.k[start:stop, head], torch.arange(start, stop, device=g_k.device)
        n_pieces = -(-len(of_head) * len(at) // PIECE_NUMBERS)
        for piece in np.array_split(np.arange(len(of_head)), n_pieces):
            rows = torch.as_tensor(of_head[piece], device=g_k.device)
            begin = torch.as_tensor(first[piece], device=g_k.device)[:, None]
            ends = torch.as_tensor(token[of_head[piece]], device=g_k.device)
            dest, src = ends[..., None].unbind(1)
            visible = (at >= begin) & (at <= dest) & (at != src)  # 1, [pair, token]
            raw = layer_scoring.scale * (inputs.q[dest[:, 0], head] @ keys.mT)
            weights = layer_scoring.apply_cap(raw).masked_fill(~visible, -torch.inf).softmax(1)  # 2
            weights = weights.masked_fill(~visible, 0)  # NaN where no token is visible
            coord[rows] = weights @ keys @ g_k[layer, head].mT  # 3
            score[rows] = (weights * raw).sum(1)
    return coord.cpu().numpy(), score.double().cpu().numpy()
