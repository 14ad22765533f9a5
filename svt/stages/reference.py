"""The reference stage: find the heads that matter for the answer by ablation, as a CSV file.

1. Ablate each head alone at all tokens (svt/compute/ablate.py), over the prompts with an answer and
   a distractor; with dataset.only_correct, over those that the undisturbed model answers correctly.
2. A head's effect is the change of the mean of logit(answer) - logit(distractor). The reference
   consists of heads whose absolute effect is at least reference.threshold times that mean.
3. Write reference.csv, which evaluate.reference accepts, and head_ablations.csv with all heads.

No trace is used. A head whose function other heads can take over has a small effect.
"""

import csv
import io
import logging
import shlex
import sys
from collections.abc import Sequence
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from svt.config import Config, Head
from svt.dataset import Prompt, check_fit
from svt.errors import SvtError
from svt.system.atomic import write_atomically
from svt.system.progress import Progress

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from svt.compute.ablate import Ablation
    from svt.compute.model import Model

REFERENCE, ALL_HEADS = "reference.csv", "head_ablations.csv"
COLUMNS = ("layer", "head", "class", "effect", "effect_share", "accuracy")


def check_answers(prompts: Sequence[Prompt]) -> tuple[Prompt, ...]:
    """Return the prompts that have an answer and a distractor; SvtError when none has."""
    answerable = select_answerable(prompts)
    if not answerable:
        raise SvtError(
            "the stage reference measures logit(answer) - logit(distractor), but no prompt has "
            "both; use dataset=ioi, or a prompt file with the columns answer and distractor"
        )
    return answerable


def select_answerable(prompts: Sequence[Prompt]) -> tuple[Prompt, ...]:
    """Return the prompts that have an answer and a distractor."""
    return tuple(p for p in prompts if p.answer and p.distractor)


def list_heads(model: "Model") -> list[Head]:
    return [(layer, head) for layer in range(model.n_layers) for head in range(model.n_heads)]


def make_reference(config: Config, model: "Model", prompts: Sequence[Prompt], folder: Path) -> Path:
    """Write both files into `folder` and return the path of the reference.

    SvtError when no prompt can be measured or one does not fit the model, when the model does not
    prefer the answers, or when no head reaches the threshold; head_ablations.csv is then written.
    """
    from svt.compute.ablate import Ablation
    from svt.compute.head_classes import classify_heads

    prompts, settings, size = check_answers(prompts), config.reference, config.dump.batch_size
    check_fit(prompts, model.n_ctx, model.d_vocab)
    ablation = Ablation(model, prompts, settings.ablation, settings.seed, size)
    if config.dataset.only_correct and not (ablation.full > 0).all():  # 1
        prompts = _select_correct(prompts, ablation)
        ablation = Ablation(model, prompts, settings.ablation, settings.seed, size)
    clean = float(ablation.full.mean())
    if clean <= 0:
        raise SvtError(
            f"the mean of logit(answer) - logit(distractor) over {len(prompts)} prompts is "
            f"{clean:.3g}: the model does not prefer the answers, so no head matters for them"
        )
    heads = list_heads(model)
    with Progress("reference", len(heads) * len(prompts), "ablated runs") as progress:
        diffs = ablation.logit_diffs([[head] for head in heads], progress.advance)  # 1
    effects = diffs.mean(1) - clean
    classes = classify_heads(model, prompts, config.trace.firing_weight, size)
    rows = [
        (*head, classes.get(head), f"{effect:.4f}", f"{effect / clean:.4f}", f"{right:.4f}")
        for head, effect, right in zip(heads, effects, (diffs > 0).mean(1), strict=True)
    ]
    comments = _format_comments(config, ablation, clean)
    write_atomically(folder / ALL_HEADS, _format_table(comments, rows))
    shares = np.abs(effects) / clean
    chosen = np.flatnonzero(shares >= settings.threshold)  # 2
    rule = f"heads that change that mean by at least {settings.threshold:.4g} of it"
    if not len(chosen):
        layer, head = heads[int(shares.argmax())]
        raise SvtError(
            f"there are no {rule}; the largest change is that of {layer}.{head}, "
            f"{shares.max():.4f}. Lower reference.threshold; the effects of all heads are in "
            f"{folder / ALL_HEADS}"
        )
    path = folder / REFERENCE
    table = _format_table([*comments, f"kept: {rule}"], [rows[i] for i in chosen])
    write_atomically(path, table)  # 3
    logger.info(f"reference: {len(chosen)} of {len(heads)} heads matter; evaluate.reference={path}")
    return path


def _select_correct(prompts: Sequence[Prompt], ablation: "Ablation") -> tuple[Prompt, ...]:
    right = tuple(compress(prompts, ablation.full > 0))
    if not right:
        raise SvtError(
            f"dataset.only_correct=true: the model answers none of the {len(prompts)} prompts "
            "correctly, so no head can be measured on them; take other prompts, or "
            "dataset.only_correct=false"
        )
    return right


def _format_comments(config: Config, ablation: "Ablation", clean: float) -> list[str]:
    n_prompts, accuracy = len(ablation.full), (ablation.full > 0).mean()
    chosen = " that it answers correctly" if config.dataset.only_correct else ""
    return [
        shlex.join(["svt", *sys.argv[1:]]),
        f"{config.reference.ablation} ablation of one head of {config.model.name} at a time, at "
        f"all tokens, over {n_prompts} prompts of dataset={config.dataset.name}{chosen}",
        f"undisturbed mean of logit(answer) - logit(distractor): {clean:.4f}; "
        f"accuracy: {accuracy:.4f}",
        "effect: change of that mean; effect_share: change / mean; accuracy: with the head ablated",
        "class: where the head fires in at least a quarter of the prompts; not used in the choice",
    ]


def _format_table(comments: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    """Return comment lines, the header and the rows, as UTF-8."""
    text = io.StringIO()
    text.writelines(f"# {comment}\n" for comment in comments)
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    return text.getvalue().encode()
