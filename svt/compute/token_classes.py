"""Classes of corresponding tokens: tokens whose activations may replace one another.

1. Prompts correspond when they have the same length and the same template (in any order of its
   names) or, where the dataset has no templates, the same roles at the same positions. Their tokens
   correspond position by position.
2. A token of a prompt without a corresponding one is in the class of its role; without a role, in
   that of all tokens without roles.
3. A token that is alone even then is in the class of all tokens.
"""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from svt.compute.pairs import Integers
from svt.dataset.prompt import Prompt, role_labels


@dataclass(frozen=True)
class TokenClasses:
    """The classes of all tokens, prompt by prompt, by each of the three steps."""

    # class of the token by each step; the steps share no class
    steps: Int[np.ndarray, "step token"]
    chosen: Int[np.ndarray, " token"]  # the one of these three that applies to the token
    n_classes: int

    def draw_others(self, prompt: Int[np.ndarray, " token"], seed: int) -> Integers:
        """Return for each token the index [token] of another token of its class.

        The prompts form a ring, in an order drawn with `seed`, and a token gets the next one of its
        class in that ring: all tokens of a prompt of step 1 get those of the same other prompt.
        `prompt` is each token's prompt.
        """
        drawn = np.random.default_rng(seed).permutation(int(prompt.max()) + 1)
        others = np.empty_like(prompt)
        for classes in self.steps:
            order = np.lexsort((drawn[prompt], classes))
            first = np.flatnonzero(np.diff(classes[order], prepend=-1))
            following = np.roll(order, -1)
            following[np.append(first[1:], len(order)) - 1] = order[first]  # closes each ring
            applies = classes[order] == self.chosen[order]
            others[order[applies]] = following[applies]
        return others


def classify_tokens(prompts: Sequence[Prompt], lengths: Int[np.ndarray, " prompt"]) -> TokenClasses:
    """Return the classes of the first `lengths` tokens of every prompt."""
    by_position: list[Hashable] = []
    by_role: list[Hashable] = []
    for prompt, length in zip(prompts, lengths.tolist(), strict=True):
        labels = role_labels(prompt)
        kind = prompt.template or tuple(sorted(prompt.roles.items()))
        by_position += [(kind, length, position) for position in range(length)]  # 1
        by_role += [labels.get(position) for position in range(length)]  # 2
    first, second = _number(by_position), _number(by_role)
    second += first.max() + 1
    third = np.full_like(first, second.max() + 1)  # 3
    size = np.bincount(np.concatenate([first, second]))
    chosen = np.where(size[first] > 1, first, np.where(size[second] > 1, second, third))
    return TokenClasses(np.stack([first, second, third]), chosen, int(third[0]) + 1)


def _number(keys: Iterable[Hashable]) -> Integers:
    """Return equal keys as equal numbers, from 0 in order of appearance."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(key, len(numbers)) for key in keys], np.int64)
