"""The reference stage: the heads that matter for the answer, found by ablation, as a CSV file.

1. The prompts are those with an answer and a distractor; with dataset.only_correct those of them
   that the undisturbed model answers rightly. Over these every head alone is ablated at all tokens
   (compute/ablate.py).
2. Its effect is the change of the mean of logit(answer) - logit(distractor). The heads whose
   effect has at least the size of reference.threshold times that mean are the reference.
3. Two files: reference.csv, which evaluate.reference takes, and head_ablations.csv with all heads.

No trace has a part in this. A head that others stand in for changes little when it alone is gone.
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
from svt.dataset import Prompt, check_fits
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
    """The prompts that have an answer and a distractor; SvtError when there is none."""
    asked = answerable(prompts)
    if not asked:
        raise SvtError(
            "the stage reference measures logit(answer) - logit(distractor), but no prompt has "
            "both; use dataset=ioi, or a prompt file with the columns answer and distractor"
        )
    return asked


def answerable(prompts: Sequence[Prompt]) -> tuple[Prompt, ...]:
    """The prompts that have an answer and a distractor."""
    return tuple(p for p in prompts if p.answer and p.distractor)


def all_heads(model: "Model") -> list[Head]:
    return [(layer, head) for layer in range(model.n_layers) for head in range(model.n_heads)]


def make_reference(config: Config, model: "Model", prompts: Sequence[Prompt], folder: Path) -> Path:
    """Writes both files into `folder` and returns the path of the reference.

    SvtError when no prompt can be measured or one does not fit the model, when the model does not
    prefer the answers, or when no head reaches the threshold; in the last case head_ablations.csv
    is there.
    """
    from svt.compute.ablate import Ablation
    from svt.compute.attends import head_classes

    asked, settings, size = check_answers(prompts), config.reference, config.dump.batch_size
    check_fits(asked, model.n_ctx, model.d_vocab)
    ablation = Ablation(model, asked, settings.ablation, settings.seed, size)
    if config.dataset.only_correct and not (ablation.full > 0).all():  # 1
        asked = _rightly_answered(asked, ablation)
        ablation = Ablation(model, asked, settings.ablation, settings.seed, size)
    clean = float(ablation.full.mean())
    if clean <= 0:
        raise SvtError(
            f"the mean of logit(answer) - logit(distractor) over {len(asked)} prompts is "
            f"{clean:.3g}: the model does not prefer the answers, so no head matters for them"
        )
    heads = all_heads(model)
    with Progress("reference", len(heads) * len(asked), "ablated runs") as progress:
        diffs = ablation.logit_diffs([[head] for head in heads], progress.advance)  # 1
    effects = diffs.mean(1) - clean
    classes = head_classes(model, asked, config.trace.firing_weight, size)
    rows = [
        (*head, classes.get(head), f"{effect:.4f}", f"{effect / clean:.4f}", f"{right:.4f}")
        for head, effect, right in zip(heads, effects, (diffs > 0).mean(1), strict=True)
    ]
    remarks = _remarks(config, ablation, clean)
    write_atomically(folder / ALL_HEADS, _table(remarks, rows))
    shares = np.abs(effects) / clean
    chosen = np.flatnonzero(shares >= settings.threshold)  # 2
    rule = f"heads that change that mean by at least {settings.threshold:.4g} of it"
    if not len(chosen):
        layer, head = heads[int(shares.argmax())]
        raise SvtError(
            f"there are no {rule}; the largest change is that of {layer}.{head}, "
            f"{shares.max():.4f}. Lower reference.threshold; every head's stands in "
            f"{folder / ALL_HEADS}"
        )
    path = folder / REFERENCE
    write_atomically(path, _table([*remarks, f"kept: {rule}"], [rows[i] for i in chosen]))  # 3
    logger.info(f"reference: {len(chosen)} of {len(heads)} heads matter; evaluate.reference={path}")
    return path


def _rightly_answered(prompts: Sequence[Prompt], ablation: "Ablation") -> tuple[Prompt, ...]:
    right = tuple(compress(prompts, ablation.full > 0))
    if not right:
        raise SvtError(
            f"dataset.only_correct=true: the model answers none of the {len(prompts)} prompts "
            "rightly, so there is no head to ablate for them; take other prompts, or "
            "dataset.only_correct=false"
        )
    return right


def _remarks(config: Config, ablation: "Ablation", clean: float) -> list[str]:
    n_prompts, accuracy = len(ablation.full), (ablation.full > 0).mean()
    chosen = " that it answers rightly" if config.dataset.only_correct else ""
    return [
        shlex.join(["svt", *sys.argv[1:]]),
        f"{config.reference.ablation} ablation of one head of {config.model.name} at a time, at "
        f"all tokens, over {n_prompts} prompts of dataset={config.dataset.name}{chosen}",
        f"undisturbed mean of logit(answer) - logit(distractor): {clean:.4f}; "
        f"accuracy: {accuracy:.4f}",
        "effect: change of that mean; effect_share: as a share of it; accuracy: what is left of it",
        "class: where the head fires in at least a quarter of the prompts, no part of the choice",
    ]


def _table(remarks: Sequence[str], rows: Sequence[Sequence[object]]) -> bytes:
    """Remark lines, the header and the rows, as UTF-8."""
    text = io.StringIO()
    text.writelines(f"# {remark}\n" for remark in remarks)
    csv.writer(text, lineterminator="\n").writerows([COLUMNS, *rows])
    return text.getvalue().encode()
