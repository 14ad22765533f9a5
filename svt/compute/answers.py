"""The answers and distractors of prompts as sets of tokens, and their logits.

1. A prompt has a set of answers and a set of distractors, mostly of one token each.
2. Its logit difference is the mean logit of the answers minus the mean logit of the distractors.
   Without a final soft cap it is linear in the logits, so the direct effect of a head is its output
   along the same difference of columns of W_U. With one token each it is logit(answer) -
   logit(distractor).
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
        rows = [torch.tensor(tokens, dtype=torch.long, device=device) for tokens in sets]
        pad = torch.nn.utils.rnn.pad_sequence
        self.ids = pad(rows, batch_first=True)
        self.real = pad([torch.ones_like(ids) for ids in rows], batch_first=True).bool()

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


def has_logit_diff(prompt: Prompt) -> bool:
    """Return whether a prompt has both an answer and a distractor."""
    return bool(prompt.answer and prompt.distractor)


def token_sets(prompts: Sequence[Prompt], device: torch.device) -> tuple[TokenSets, TokenSets]:
    """Return the answers and the distractors of the prompts."""
    answers, distractors = [p.answer for p in prompts], [p.distractor for p in prompts]
    return TokenSets(answers, device), TokenSets(distractors, device)


class AnswerLogits:
    """The logits of answers and distractors alone, of prompts that have both."""

    def __init__(self, model: Model, prompts: Sequence[Prompt]) -> None:
        self._model = model
        self._sets = token_sets(prompts, model.device)
        w_u, b_u = model.unembedding
        self._weights = [(w_u[:, s.ids], b_u[s.ids]) for s in self._sets]

    def difference(self, x: Float[Tensor, "prompt d_model"]) -> Float[Tensor, " prompt"]:
        """Return the logit differences of final normalised residuals (step 2)."""
        answer, distractor = (
            s.means_of(self._model.apply_cap(torch.einsum("pd,dps->ps", x, w) + b))
            for s, (w, b) in zip(self._sets, self._weights, strict=True)
        )
        return answer - distractor


def contrast(
    table: Float[Tensor, "*rows vocabulary"], prompts: Sequence[Prompt]
) -> Float[Tensor, "*rows prompt"]:
    """Return the difference of step 2 for the columns of a table, W_U or b_U."""
    answers, distractors = token_sets(prompts, table.device)
    return answers.means_over(table) - distractors.means_over(table)
