"""The logit difference of every prompt, and the direct effect of each head on it.

1. logit_diff = logit(answer) - logit(distractor) at `end`, after the model's final soft cap if it
   has one; means over sets of tokens (answers.py). `correct`: logit_diff > 0 or, for a prompt
   without a distractor, whether an answer has the largest logit.
2. A head's direct effect is its output at `end`, divided by the final norm's scale of that prompt,
   along W_U[answer] - W_U[distractor] (final norm folded into W_U), before a soft cap.
"""

from statistics import fmean

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from svt.compute.answers import contrast, has_logit_diff
from svt.compute.columns import Columns
from svt.compute.forward import Activations, Layout
from svt.compute.model import Model


def prompt_columns(model: Model, batch: Layout, acts: Activations) -> Columns:
    """Return prompt_id, logit_diff and correct of the prompts (step 1).

    logit_diff is NaN without answer or distractor; correct is masked without an answer.
    """
    w_u, b_u = model.unembedding
    logit_diff = np.full(len(batch.prompts), np.nan, np.float32)
    correct = np.ma.array(np.zeros(len(batch.prompts), bool), mask=True)
    for row, prompt in enumerate(batch.prompts):
        x = acts.end_x[row]  # [d_model]
        if not prompt.answer:
            continue
        if not prompt.distractor:
            correct[row] = int(model.logits(x).argmax()) in prompt.answer
        else:
            both, n = [*prompt.answer, *prompt.distractor], len(prompt.answer)
            logits = model.apply_cap(x @ w_u[:, both] + b_u[both]).tolist()
            answer, distractor = fmean(logits[:n]), fmean(logits[n:])
            logit_diff[row] = answer - distractor
            correct[row] = answer > distractor
    return {"prompt_id": batch.prompt_ids, "logit_diff": logit_diff, "correct": correct}


def head_effects(
    w_o: Float[Tensor, "layer head r d_model"],
    w_u: Float[Tensor, "d_model vocabulary"],
    batch: Layout,
    acts: Activations,
) -> Columns:
    """Return step 2, one row a (prompt, layer, head), for the prompts with a logit difference."""
    rows = [i for i, p in enumerate(batch.prompts) if has_logit_diff(p)]
    prompts = [batch.prompts[i] for i in rows]
    direction = contrast(w_u, prompts).T / acts.end_scale[rows, None]  # [row, d_model]
    ends = torch.as_tensor((batch.starts + batch.lengths - 1)[rows], device=w_o.device)
    z = torch.stack([layer[ends] for layer in acts.z], dim=1)  # [row, layer, head, r]
    effect = torch.einsum("nlhr,lhrn->nlh", z, w_o @ direction.T)
    row, layer, head = (index.ravel() for index in np.indices(effect.shape))
    return {
        "prompt_id": batch.prompt_ids[rows][row],
        "layer": layer.astype(np.uint8),
        "head": head.astype(np.uint8),
        "logit_diff_effect": effect.cpu().numpy().ravel().astype(np.float32),
    }
