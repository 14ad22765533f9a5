"""The reference heads of ioi-mini, from causality: `python -m svt.ioi_mini.reference > conf/evaluate/ioi-mini.csv`.

1. Draw prompts with held-out pairs of names and run them. All prompts of a template have their words at
   the same positions.
2. For every head, replace its output (before W_O, at all positions) by its mean over the prompts of the
   same template, whatever their order and names. What stays is what the head does for any prompt.
3. The head's effect is the change of the mean of logit(IO) - logit(S) at the end. The heads that change it
   by at least `THRESHOLD` of its clean value are the reference.

The class of a head only tells where it pays most attention, it plays no part in the choice.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from transformers import GPT2LMHeadModel

from svt.ioi_mini.language import Language, Prompt
from svt.ioi_mini.train import COLUMNS, measure

THRESHOLD = 0.05
ATTENDS = 0.4
MODEL = Path(__file__).parent / "model"


@contextmanager
def ablated(model: GPT2LMHeadModel, layer: int, head: int) -> Iterator[None]:
    """Inside, the head's output is its mean over the batch at every position."""
    size = model.config.n_embd // model.config.n_head
    part = slice(head * size, (head + 1) * size)

    def replace(_module: torch.nn.Module, inputs: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        z = inputs[0].clone()  # (prompt, position, head and coordinate)
        z[:, :, part] = z[:, :, part].mean(0, keepdim=True)
        return (z,)

    hook = model.transformer.h[layer].attn.c_proj.register_forward_pre_hook(replace)
    try:
        yield
    finally:
        hook.remove()


@torch.no_grad()
def mean_logit_diff(model: GPT2LMHeadModel, prompts: list[Prompt]) -> float:
    """Mean of logit(IO) - logit(S) at the end, run template by template."""
    total = 0.0
    for template in sorted({p.template for p in prompts}):
        group = [p for p in prompts if p.template == template]
        logits = model(torch.tensor([p.ids for p in group])).logits[:, -1]
        row = torch.arange(len(group))
        answer = torch.tensor([p.answer for p in group])
        subject = torch.tensor([p.subject for p in group])
        total += float((logits[row, answer] - logits[row, subject]).sum())
    return total / len(prompts)


def head_class(weights: torch.Tensor) -> str:
    """The kind of attention the head pays most, if it pays that much of any."""
    best = int(weights.argmax())
    return COLUMNS[best] if weights[best] >= ATTENDS else "other"


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m svt.ioi_mini.reference")
    parser.add_argument("--model", type=Path, default=MODEL)
    parser.add_argument("--seed", type=int, default=2410)
    parser.add_argument("--per-template", type=int, default=64)
    options = parser.parse_args(argv)
    model = GPT2LMHeadModel.from_pretrained(options.model, attn_implementation="eager").eval()
    prompts = Language().held_out_prompts(options.seed, options.per_template)
    found = measure(model, prompts)
    clean = mean_logit_diff(model, prompts)
    rows = []
    for layer in range(model.config.n_layer):
        for head in range(model.config.n_head):
            with ablated(model, layer, head):
                effect = mean_logit_diff(model, prompts) - clean
            rows.append((layer, head, head_class(found.attention[layer, head]), effect))
        print(f"layer {layer} done", file=sys.stderr)
    print(f"# python -m svt.ioi_mini.reference --seed {options.seed} --per-template {options.per_template}")
    print(f"# mean ablation over {len(prompts)} prompts with held-out pairs of names, template by template")
    print(f"# clean mean logit(IO) - logit(S) {clean:.4f}, accuracy {found.accuracy:.4f}")
    print(f"# kept: change of at least {THRESHOLD:.0%} of the clean mean; class: where the head attends most")
    print("layer,head,class,effect,effect_share")
    for layer, head, kind, effect in rows:
        if abs(effect) >= THRESHOLD * clean:
            print(f"{layer},{head},{kind},{effect:.4f},{effect / clean:.4f}")


if __name__ == "__main__":
    main()
