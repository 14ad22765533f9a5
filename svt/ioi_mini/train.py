"""Train ioi-mini: `python -m svt.ioi_mini.train --out DIR`.

1. Build the language and the tokenizer; a GPT-2 of Hugging Face with a small MLP, so that attention has to
   do the work, and no dropout.
2. Draw fresh documents for every step. The loss of an answer (a name or object that follows from what was
   said) counts `answer_weight` times: the other tokens are mostly chance.
3. AdamW, a short warm-up and a cosine down to zero; bfloat16 where the processor has it natively.
4. Every `every` steps measure held-out prompts: accuracy, and where the heads attend. The best model so
   far is written to DIR, each file aside first and then renamed.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import random
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
import torch.nn.functional as F
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from svt.ioi_mini.language import END, UNKNOWN, Language, Prompt
from svt.progress import Progress, say

FIRING_WEIGHT = 0.5


@dataclass(frozen=True)
class Settings:
    steps: int = 10_000
    batch: int = 96
    length: int = 40
    layers: int = 6
    heads: int = 8
    width: int = 128
    mlp: int = 64
    positions: int = 64
    rate: float = 2e-3
    warmup: float = 0.05
    decay: float = 0.01
    answer_weight: float = 10.0
    spread: float = 0.0
    smoothing: float = 0.0
    dropout: float = 0.0
    residual_dropout: float = 0.0
    bfloat16: bool = True
    seed: int = 0
    every: int = 500
    per_template: int = 16


def new_model(language: Language, settings: Settings) -> GPT2LMHeadModel:
    end = language.index[END]
    return GPT2LMHeadModel(
        GPT2Config(
            vocab_size=len(language.vocabulary),
            n_positions=settings.positions,
            n_embd=settings.width,
            n_layer=settings.layers,
            n_head=settings.heads,
            n_inner=settings.mlp,
            resid_pdrop=settings.residual_dropout,
            embd_pdrop=0.0,
            attn_pdrop=settings.dropout,
            bos_token_id=end,
            eos_token_id=end,
            tie_word_embeddings=False,
            attn_implementation="eager",
        )
    )


def rate_at(step: int, settings: Settings) -> float:
    warmup = max(1, int(settings.warmup * settings.steps))
    if step < warmup:
        return settings.rate * (step + 1) / warmup
    done = (step - warmup) / max(1, settings.steps - warmup)
    return settings.rate * 0.5 * (1 + math.cos(math.pi * done))


def loss_of(
    logits: torch.Tensor, ids: torch.Tensor, answers: torch.Tensor, weight: float, smoothing: float
) -> tuple[torch.Tensor, float]:
    """The weighted loss that is minimised, and the plain mean loss of the answers."""
    each = F.cross_entropy(logits[:, :-1].float().transpose(1, 2), ids[:, 1:], reduction="none", label_smoothing=smoothing)
    hit = answers[:, 1:].float()
    weights = 1 + (weight - 1) * hit
    answer = (each.detach() * hit).sum() / hit.sum().clamp(min=1)
    return (each * weights).sum() / weights.sum(), float(answer)


def spread_of(attentions: Sequence[torch.Tensor]) -> torch.Tensor:
    """Mean of 1 - sum(weight^2) over attention rows: 0 when every row is on one token."""
    return torch.stack([1 - w.square().sum(-1).mean() for w in attentions]).mean()


COLUMNS = ("end->IO", "end->S1", "end->S2", "S2->S1", "S2->S1+1", "S1+1->S1")


@dataclass(frozen=True)
class Measured:
    """Means over prompts; `attention` (layer, head, COLUMNS) and `fires_on_io` (layer, head)."""

    accuracy: float
    logit_diff: float
    loss: float
    attention: torch.Tensor
    fires_on_io: torch.Tensor

    def line(self, most: int = 3) -> str:
        """The numbers, and for each kind of attention the heads that pay most of it."""
        text = f"accuracy {self.accuracy:.3f} logit diff {self.logit_diff:.1f} loss {self.loss:.4f}"
        tables = [*zip(COLUMNS, self.attention.unbind(-1), strict=True), ("fires", self.fires_on_io)]
        for name, table in tables:
            top = table.flatten().topk(most)
            heads = (
                f"{i // table.shape[1]}.{i % table.shape[1]} {v:.2f}"
                for v, i in zip(top.values.tolist(), top.indices.tolist(), strict=True)
            )
            text += f" | {name} {', '.join(heads)}"
        return text


@torch.no_grad()
def measure(model: GPT2LMHeadModel, prompts: list[Prompt]) -> Measured:
    """What the model says at the end of bare prompts, and where its heads attend."""
    model.eval()
    parts: list[tuple[torch.Tensor, ...]] = []
    for n in sorted({len(p.ids) for p in prompts}):
        group = [p for p in prompts if len(p.ids) == n]
        output = model(torch.tensor([p.ids for p in group]), output_attentions=True)
        logits = output.logits[:, -1].float()
        row, end = torch.arange(len(group)), torch.full((len(group),), n - 1)
        answer, subject, io, s1, s2 = torch.tensor(
            [(p.answer, p.subject, p.io, p.s1, p.s2) for p in group]
        ).T
        weights = torch.stack(output.attentions, 1).float()  # (prompt, layer, head, dest, src)
        cells = ((end, io), (end, s1), (end, s2), (s2, s1), (s2, s1 + 1), (s1 + 1, s1))
        parts.append(
            (
                (logits.argmax(-1) == answer).float(),
                logits[row, answer] - logits[row, subject],
                F.cross_entropy(logits, answer, reduction="none"),
                torch.stack([weights[row, :, :, dest, src] for dest, src in cells], -1),
                (weights[row, :, :, end, io] >= FIRING_WEIGHT).float(),
            )
        )
    model.train()
    right, diff, loss, attention, fires = (torch.cat(p).mean(0) for p in zip(*parts, strict=True))
    return Measured(float(right), float(diff), float(loss), attention, fires)


def save(model: GPT2LMHeadModel, language: Language, folder: Path, record: object) -> None:
    """Model, tokenizer and training record; each file is written aside and renamed."""
    end = {"bos_token": END, "eos_token": END, "pad_token": END}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=language.tokenizer(), unk_token=UNKNOWN, **end
    )
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent) as name:
        aside = Path(name)
        model.save_pretrained(aside)
        tokenizer.save_pretrained(aside)
        (aside / "training.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        for file in aside.iterdir():
            file.replace(folder / file.name)


def train(settings: Settings, out: Path, language: Language | None = None) -> GPT2LMHeadModel:
    language = language or Language()
    torch.manual_seed(settings.seed)
    rng = random.Random(settings.seed)
    model = new_model(language, settings)
    if os.environ.get('INIT'): model=GPT2LMHeadModel.from_pretrained(os.environ['INIT'],attn_implementation='eager')
    ramp=lambda t: min(1,t/(float(os.environ.get('RAMP','.5'))*settings.steps))
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=0.0, betas=(0.9, 0.98), weight_decay=settings.decay, fused=True
    )
    prompts = language.held_out_prompts(settings.seed + 1, settings.per_template)
    say(f"{model.num_parameters():,} parameters, {len(language.vocabulary)} words")
    start, answer_loss = time.perf_counter(), math.nan
    model.train()
    with Progress("training", settings.steps, "steps") as progress:
        for step in range(settings.steps):
            for group in optimizer.param_groups:
                group["lr"] = rate_at(step, settings)
            batch = language.batch(rng, settings.batch, settings.length)
            ids, answers = map(torch.from_numpy, batch)
            with torch.autocast("cpu", torch.bfloat16, enabled=settings.bfloat16):
                output = model(ids, use_cache=False, output_attentions=True)
            loss, answer = loss_of(output.logits, ids, answers, settings.answer_weight, settings.smoothing)
            if settings.spread > 0:
                loss = loss + settings.spread * ramp(step) * spread_of(output.attentions)
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            answer_loss = answer if step == 0 else 0.99 * answer_loss + 0.01 * answer
            progress.advance(1)
            if (step + 1) % settings.every == 0 or step + 1 == settings.steps:
                found = measure(model, prompts)
                say(f"step {step + 1}: answers in training {answer_loss:.4f}, held out {found.line()}")
                record = {
                    "settings": asdict(settings),
                    "step": step + 1,
                    "seconds": round(time.perf_counter() - start),
                    "training_answer_loss": round(answer_loss, 5),
                    "held_out": {
                        "prompts": len(prompts),
                        "accuracy": found.accuracy,
                        "logit_diff": round(found.logit_diff, 4),
                        "loss": round(found.loss, 6),
                    },
                }
                save(model, language, out, record)
    return model


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m svt.ioi_mini.train", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    for field in fields(Settings):
        kind = type(field.default)
        if kind is bool:
            parser.add_argument(f"--{field.name}", action=argparse.BooleanOptionalAction, default=field.default)
        else:
            parser.add_argument(f"--{field.name.replace('_', '-')}", type=kind, default=field.default)
    options = vars(parser.parse_args(argv))
    out = options.pop("out")
    train(Settings(**options), out)


if __name__ == "__main__":
    main()
