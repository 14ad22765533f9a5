"""Which tokens of a set of prompts are alike: what one of them says can stand for another.

1. Prompts are alike when they have the same template (whatever the order of its names), or, where
   the dataset gives none, the same roles at the same positions; and the same length. Their tokens
   are alike position by position.
2. A token whose prompt is like no other is like all tokens of the same role; without a role, like
   all that have none.
3. A token that even then stands alone is like all tokens.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int
from numpy.typing import NDArray

from svt.dataset.prompt import Prompt, role_labels

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class TokenClasses:
    """The classes of all tokens, prompt by prompt: by step 1, by step 2 and the one of step 3."""

    # class of the token by each step; no class is of two steps
    steps: Int[np.ndarray, "step token"]
    chosen: Int[np.ndarray, " token"]  # the class among these three that holds for the token
    n_classes: int

    def others(self, prompt: Int[np.ndarray, " token"], seed: int) -> Int[np.ndarray, " token"]:
        """Return for each token the index of another one of its class.

        The prompts stand in a ring, in an order drawn with `seed`, and a token gets its next in
        that ring; so the tokens of a prompt that is like others get those of one other prompt.
        `prompt` is each token's prompt.
        """
        drawn = np.random.default_rng(seed).permutation(int(prompt.max()) + 1)
        found = np.empty_like(prompt)
        for classes in self.steps:
            order = np.lexsort((drawn[prompt], classes))
            first = np.flatnonzero(np.diff(classes[order], prepend=-1))
            following = np.roll(order, -1)
            following[np.append(first[1:], len(order)) - 1] = order[first]  # closes each ring
            here = classes[order] == self.chosen[order]
            found[order[here]] = following[here]
        return found


def classify_tokens(prompts: Sequence[Prompt], lengths: Int[np.ndarray, " prompt"]) -> TokenClasses:
    """The classes of the first `lengths` tokens of every prompt."""
    by_position: list[Hashable] = []
    by_role: list[Hashable] = []
    for prompt, length in zip(prompts, lengths.tolist(), strict=True):
        labels = role_labels(prompt)
        kind = prompt.template or tuple(sorted(prompt.roles.items()))
        by_position += [(kind, length, position) for position in range(length)]  # 1
        by_role += [labels.get(position) for position in range(length)]  # 2
    first, second = _numbered(by_position), _numbered(by_role)
    second += first.max() + 1
    third = np.full_like(first, second.max() + 1)  # 3
    size = np.bincount(np.concatenate([first, second]))
    chosen = np.where(size[first] > 1, first, np.where(size[second] > 1, second, third))
    return TokenClasses(np.stack([first, second, third]), chosen, int(third[0]) + 1)


def _numbered(keys: Iterable[Hashable]) -> Integers:
    """Equal keys as equal numbers, from 0 in order of appearance."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)
