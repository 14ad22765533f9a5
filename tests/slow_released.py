"""The trace as the authors' released scripts make it, slowly: each path on its own, in NumPy.

Shares no code with svt and none with sql; the forward pass is that of tests/slow_models.py.

1. The signal of a firing is the shortest run of falling slices whose sum exceeds the whole score.
2. An upstream head contributes what its output with a 1 appended gives along the signal, divided by
   the LayerNorm's scale; all heads below take part.
3. Kept is every head that contributes at least as much as the one with which the falling
   contributions first exceed the share of their sum, for a sum of either sign.
4. Every path from the root appends its edges again. An edge of the graph is its two heads and the
   role of the token written into; it counts each time it is appended, but in the first prompt
   that has it once.
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tests.slow_models import Array, SlowModel, SlowRun

Head = tuple[int, int]
Edge = tuple[int, int, int, int, str, str]  # upstream, downstream, side, role


class Released:
    """The edges of one prompt, as often as they are appended."""

    def __init__(self, model: SlowModel, tokens: Sequence[int], coverage: float) -> None:
        self.model, self.coverage = model, coverage
        self.run: SlowRun = model.run(tokens)
        self.n_tokens = len(tokens)

    def fires(self, head: Head, dest: int, src: int) -> bool:
        layer, index = head
        weight, score = self.run.weights[layer][index], self.run.scores[layer][index]
        return bool(src > 0 and weight[dest, src] >= 0.5 and score[dest, src] >= 0)

    def paths(self, head: Head, dest: int) -> Iterator[tuple[Head, Head, str, int]]:
        """(upstream, downstream, side, token), once for every path from the head's firings."""
        for src in range(dest + 1):
            if self.fires(head, dest, src):
                for side, token in (("src", src), ("dest", dest)):
                    for up in self.kept(head, dest, src, side):
                        yield up, head, side, token
                        yield from self.paths(up, token)

    def kept(self, head: Head, dest: int, src: int, side: str) -> list[Head]:
        layer = head[0]
        u, sigma, vt = np.linalg.svd(self.model.omega(*head))
        x_dest, x_src = (np.append(self.run.x[layer][token], 1.0) for token in (dest, src))
        slices = [(x_dest @ u[:, k]) * sigma[k] * (vt[k] @ x_src) for k in range(self.model.r)]
        falling = sorted(range(self.model.r), key=lambda k: -slices[k])
        total, so_far, signal = sum(slices), 0.0, []
        for k in falling:  # 1
            signal.append(k)
            so_far += slices[k]
            if so_far > total * (1 + 1e-12):
                break
        token = dest if side == "dest" else src
        directions = u.T if side == "dest" else vt
        weighted: Array = sum(
            math.copysign(math.sqrt(sigma[k]), x_dest @ u[:, k]) * directions[k] for k in signal
        )
        scale = self.run.scale[layer][token]
        given = {  # 2
            (low, up): float(weighted @ np.append(self.run.written["head", low, up][token], 1.0))
            / scale
            for low in range(layer)
            for up in range(self.model.n_heads)
        }
        whole, so_far = sum(given.values()), 0.0
        for value in sorted(given.values(), reverse=True):  # 3
            so_far += value
            if so_far > self.coverage * whole:
                return [up for up, other in given.items() if other >= value]
        return []


def visits(
    model: SlowModel, prompts: Sequence[Any], roots: Sequence[Head], coverage: float
) -> list[Counter[Edge]]:
    """Of each prompt how often each edge into a token with a role is appended."""
    found = []
    for prompt in prompts:
        roles = {pos: role for role, pos in prompt.roles.items()}
        released = Released(model, prompt.tokens, coverage)
        found.append(
            Counter(
                (*up, *down, side, roles[token])
                for root in roots
                for up, down, side, token in released.paths(root, prompt.roles["end"])
                if token in roles
            )
        )
    return found


def counted(by_prompt: Sequence[Counter[Edge]]) -> dict[tuple[Any, ...], int]:
    """Step 4: the counts of the graph, by upstream, downstream and role."""
    counts: dict[tuple[Any, ...], int] = {}
    for appended in by_prompt:
        merged: Counter[tuple[Any, ...]] = Counter()
        for (*heads, _, role), n in appended.items():
            merged[(*heads, role)] += n
        for edge, n in merged.items():
            counts[edge] = counts[edge] + n if edge in counts else 1
    return counts
