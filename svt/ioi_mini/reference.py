"""The reference heads of ioi-mini, from causality.

    python -m svt.ioi_mini.reference > conf/evaluate/ioi-mini.csv

1. Draw prompts with held-out pairs of names and run them. The prompts of a template have the same
   kind of word at every position.
2. For every head, replace its output (before W_O, at all positions) by its mean over the prompts of
   the same template, whatever their order and names. What stays is what the head does for any of
   them.
3. The head's effect is the change of the mean of logit(IO) - logit(S) at the end. The heads that
   change it by at least `THRESHOLD` of its clean value are the reference.

The class of a head only says where it pays most attention; it plays no part in the choice.
"""

import argparse
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from transformers import GPT2LMHeadModel

from svt.ioi_mini.language import Language, Prompt
from svt.ioi_mini.train import CELLS, measure
from svt.progress import Progress, counted

THRESHOLD = 0.05
ATTENDS = 0.4
MODEL = Path(__file__).parent / "model"


@contextmanager
def mean_ablated(model: Any, layer: int, head: int) -> Iterator[None]:
    """Inside, the head's output is its mean over the batch at every position."""
    size = model.config.n_embd // model.config.n_head
    part = slice(head * size, (head + 1) * size)

    def replace(_: torch.nn.Module, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        z = inputs[0].clone()  # (prompt, position, head and coordinate)
        z[:, :, part] = z[:, :, part].mean(0, keepdim=True)
        return (z,)

    hook = model.transformer.h[layer].attn.c_proj.register_forward_pre_hook(replace)
    try:
        yield
    finally:
        hook.remove()


@torch.no_grad()
def mean_logit_diff(model: Any, prompts: Sequence[Prompt]) -> float:
    """Mean of logit(IO) - logit(S) at the end; every template is a batch."""
    total = 0.0
    for template in sorted({p.template for p in prompts}):
        group = [p for p in prompts if p.template == template]
        logits = model(torch.tensor([p.ids for p in group])).logits[:, -1]
        named = torch.tensor([(p.answer, p.subject) for p in group])
        answer, subject = logits.gather(1, named).T
        total += float((answer - subject).sum())
    return total / len(prompts)


def head_class(weights: torch.Tensor) -> str:
    """The kind of attention the head pays most, if it pays that much of any."""
    best = int(weights.argmax())
    return CELLS[best] if weights[best] >= ATTENDS else "other"


def effects(model: Any, prompts: Sequence[Prompt], clean: float) -> dict[tuple[int, int], float]:
    shape = (range(model.config.n_layer), range(model.config.n_head))
    heads = [(layer, head) for layer in shape[0] for head in shape[1]]
    found: dict[tuple[int, int], float] = {}
    with Progress("mean ablation", len(heads), "heads") as progress:
        for layer, head in counted(heads, progress):
            with mean_ablated(model, layer, head):
                found[layer, head] = mean_logit_diff(model, prompts) - clean
    return found


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m svt.ioi_mini.reference")
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--seed", type=int, default=2410)
    parser.add_argument("--per-order", type=int, default=32, help="prompts a template and order")
    options = parser.parse_args(argv)
    model = GPT2LMHeadModel.from_pretrained(options.model, attn_implementation="eager").eval()
    prompts = Language().held_out_prompts(options.seed, options.per_order)
    found = measure(model, prompts)
    model.eval()
    clean = mean_logit_diff(model, prompts)
    settings = f"--seed {options.seed} --per-order {options.per_order}"
    print(f"# python -m svt.ioi_mini.reference {settings}")
    print(f"# mean ablation, template by template, over {len(prompts)} held-out prompts")
    print(f"# clean mean of logit(IO) - logit(S): {clean:.4f}; accuracy: {found.accuracy:.4f}")
    print(f"# kept: heads that change that mean by at least {THRESHOLD:.0%} of it")
    print("# class: the attention the head pays most, no part of the choice")
    print("layer,head,class,effect,effect_share")
    for (layer, head), effect in effects(model, prompts, clean).items():
        if abs(effect) >= THRESHOLD * clean:
            kind = head_class(found.attention[layer, head])
            print(f"{layer},{head},{kind},{effect:.4f},{effect / clean:.4f}")


if __name__ == "__main__":
    main()
