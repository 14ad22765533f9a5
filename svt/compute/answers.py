"""The sets of tokens that answer prompts, and what logits say of them.

1. A prompt has a set of answers and a set of distractors, mostly of one token each.
2. Its logit difference is the mean logit of the answers minus the mean logit of the distractors.
   Where no soft cap comes last, that is linear in the logits, so what a head adds to it is the
   head's output along the same difference of W_U's columns. With one token each it is logit(answer)
   - logit(distractor).
3. The answer's rank is that of the answer with the largest logit.
"""

from collections.abc import Iterable, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from svt.compute.model import Model
from svt.dataset.prompt import Prompt


class TokenSets:
    """Sets of token ids, padded; the mean over an empty set is 0."""

    ids: Int[Tensor, "set most"]
    real: Bool[Tensor, "set most"]

    def __init__(self, sets: Iterable[Sequence[int]], device: torch.device) -> None:
        listed = [torch.tensor(tokens, dtype=torch.long, device=device) for tokens in sets]
        pad = torch.nn.utils.rnn.pad_sequence
        self.ids = pad(listed, batch_first=True)
        self.real = pad([torch.ones_like(ids) for ids in listed], batch_first=True).bool()

    def means_over(self, table: Float[Tensor, "*rows vocabulary"]) -> Float[Tensor, "*rows set"]:
        """Return the mean of a table over each set."""
        return self.means_of(table[..., self.ids])

    def means(self, logits: Float[Tensor, "set vocabulary"]) -> Float[Tensor, " set"]:
        """Return the mean over each set of its own row of logits."""
        return self.means_of(logits.gather(1, self.ids))

    def best(self, logits: Float[Tensor, "set vocabulary"]) -> Float[Tensor, " set"]:
        """Return the largest logit of each set in its own row."""
        return logits.gather(1, self.ids).masked_fill(~self.real, -torch.inf).amax(1)

    def means_of(self, values: Float[Tensor, "*rows set most"]) -> Float[Tensor, "*rows set"]:
        """Return the mean over each set of the values of its tokens."""
        total = values.masked_fill(~self.real, 0).sum(-1)
        return total / self.real.sum(-1).clamp_min(1)


class AnswerLogits:
    """The logits of answers and distractors alone, of prompts that have both."""

    def __init__(self, model: Model, prompts: Sequence[Prompt]) -> None:
        self._model = model
        sets = [prompt.answer for prompt in prompts], [prompt.distractor for prompt in prompts]
        self._sets = [TokenSets(tokens, model.device) for tokens in sets]
        w_u, b_u = model.unembedding
        self._weights = [(w_u[:, s.ids], b_u[s.ids]) for s in self._sets]

    def difference(self, x: Float[Tensor, "prompt d_model"]) -> Float[Tensor, " prompt"]:
        """Return step 2 for the final normalised residuals of the prompts."""
        answer, distractor = (
            s.means_of(self._model.capped(torch.einsum("pd,dps->ps", x, w) + b))
            for s, (w, b) in zip(self._sets, self._weights, strict=True)
        )
        return answer - distractor


def contrast(
    table: Float[Tensor, "*rows vocabulary"], prompts: Sequence[Prompt]
) -> Float[Tensor, "*rows prompt"]:
    """Return step 2 for a table, W_U or b_U."""
    answers, distractors = (
        TokenSets(sets, table.device)
        for sets in ([p.answer for p in prompts], [p.distractor for p in prompts])
    )
    return answers.means_over(table) - distractors.means_over(table)
