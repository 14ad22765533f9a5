"""What the head of a pair would attend to if it did not attend to src (dump.score=contrast).

1. The other sources of a pair (dest, src) are the tokens that its head may attend to from dest, up
   to dest and within the layer's sliding window, but src.
2. Their weights are the softmax, without src, of their scores, capped as the model caps them: these
   are A_j' / (1 - A_src), exact also where src has nearly all of the weight A.
3. Key and score of the others are the means by these weights, the score before a cap; 0 where there
   is no other source. What is left of src's own is the score's lead, the gradient of
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

PIECE_NUMBERS = 2**23  # scores of rows that are worked on together


def average_other_sources(
    g_k: Float[Tensor, "layer head slice r"],
    acts: Activations,
    pairs: Pairs,
    token: Int[np.ndarray, "pair side"],
    scoring: Sequence[Scoring],
) -> tuple[Float[np.ndarray, "pair slice"], Float64[np.ndarray, " pair"]]:
    """Return the mean src_coord of every pair's other sources, and their mean score.

    `g_k` is G_K; `scoring`: of each layer.
    """
    n_heads, r = g_k.shape[1:3]
    coord, score = g_k.new_empty(len(pairs), r), g_k.new_empty(len(pairs))
    for value, of_head in group_by(pairs.layer * n_heads + pairs.head):
        layer, head = divmod(value, n_heads)
        read, of = acts.read[layer], scoring[layer]
        reach = np.minimum(pairs.dest[of_head] + 1, of.window or acts.position.numel())
        first = token[of_head, 0] - reach + 1  # [pair], what it may attend to begins here
        start, stop = int(first.min()), int(token[of_head, 0].max()) + 1
        keys, at = read.k[start:stop, head], torch.arange(start, stop, device=g_k.device)
        pieces = np.array_split(
            np.arange(len(of_head)), -(-len(of_head) * len(at) // PIECE_NUMBERS)
        )
        for piece in pieces:
            rows = torch.as_tensor(of_head[piece], device=g_k.device)
            begin = torch.as_tensor(first[piece], device=g_k.device)[:, None]
            dest, src = torch.as_tensor(token[of_head[piece]], device=g_k.device)[..., None].unbind(
                1
            )
            visible = (at >= begin) & (at <= dest) & (at != src)  # 1, [pair, token]
            raw = of.scale * (read.q[dest[:, 0], head] @ keys.mT)
            weights = of.capped(raw).masked_fill(~visible, -torch.inf).softmax(1)  # 2
            weights = weights.masked_fill(~visible, 0)  # of no token at all they are no numbers
            coord[rows] = weights @ keys @ g_k[layer, head].mT  # 3
            score[rows] = (weights * raw).sum(1)
    return coord.cpu().numpy(), score.double().cpu().numpy()
