"""Train ioi-mini: `python -m svt.ioi_mini.train --out DIR`.

1. The model is Hugging Face's GPT-2 with a small MLP, so that attention must solve the task.
2. First stage: train `layers - grown` layers on the simple mix, in which the giver is named last.
   Heads form that attend from the end to the giver, and above them heads that attend to the
   receiver.
3. Insert `grown` new layers at the bottom.
4. Second stage: train on the full mix, in which the last name is not informative. The model learns
   to inform its heads who was named before. Trained on the full mix only, it sums up all names of
   the scene and subtracts the repeated ones, and no head attends to the receiver alone. The loss
   of this stage has a small penalty (`spread`) on attention to more than one token.
5. Both stages: new documents at every step; `answer_weight` as weight of answers in the loss, as
   most other tokens are random; AdamW with a short warm-up and a cosine schedule; forward passes
   in `dtype`, weights in float32.
6. With `--mlp 0` MLPs write nothing: the format requires a hidden unit, but its weights are zero
   and not trained. From random weights no head attended to the receiver alone (one attempt, stopped
   in the second stage). So ioi-mini-attn starts from the trained ioi-mini (`--start`): in the first
   stage the MLPs, not trained, are scaled linearly to zero while attention adapts; in the second
   stage they are zero. Both stages use the full mix.
7. Every `every` steps, measure held-out prompts and write the model to DIR, each file atomically.
"""

import argparse
import json
import logging
import math
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.nn.functional as F
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast
from transformers.utils.logging import disable_progress_bar

from svt.cli.console import show_messages
from svt.ioi_mini.language import END, FULL, SIMPLE, UNKNOWN, Language, Prompt
from svt.system.progress import Progress

logger = logging.getLogger(__name__)

FIRING_WEIGHT = 0.5
CELLS = ("end->IO", "end->S1", "end->S2", "S2->S1", "S2->S1+1", "S1+1->S1")


@dataclass(frozen=True)
class Settings:
    """The options of the command line."""

    layers: int = 8
    grown: int = 4
    heads: int = 8
    width: int = 128
    mlp: int = 64
    start: str = ""
    positions: int = 64
    first_steps: int = 1500
    steps: int = 3500
    batch: int = 64
    length: int = 48
    rate: float = 2e-3
    warmup: float = 0.05
    decay: float = 0.1
    dropout: float = 0.1
    answer_weight: float = 10.0
    spread: float = 0.3
    dtype: str = "bfloat16"
    seed: int = 0
    every: int = 250
    per_order: int = 8


@dataclass(frozen=True)
class Measurement:
    """Means over prompts; `attention` (layer, head, CELLS) and `fires_on_io` (layer, head)."""

    accuracy: float
    logit_diff: float
    loss: float
    attention: torch.Tensor
    fires_on_io: torch.Tensor

    def format(self) -> str:
        """Return the numbers, and the three strongest heads of each kind of attention."""
        text = f"accuracy {self.accuracy:.3f}, logit diff {self.logit_diff:.1f}"
        text += f", loss {self.loss:.4f}"
        kinds = dict(zip(CELLS, self.attention.unbind(-1), strict=True))
        for kind, table in {**kinds, "fires on IO": self.fires_on_io}.items():
            top = table.flatten().topk(min(3, table.numel())).indices.tolist()
            heads = (divmod(i, table.shape[1]) for i in top)
            text += f" | {kind} " + ", ".join(f"{i}.{j} {table[i, j]:.2f}" for i, j in heads)
        return text


@torch.no_grad()
def measure(model: Any, prompts: Sequence[Prompt]) -> Measurement:
    """Return the model's accuracy, logit difference and loss at the end, and its mean attention."""
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
    return Measurement(float(right), float(diff), float(loss), attention, fires)


def make_model(language: Language, settings: Settings, n_layers: int) -> Any:
    """Return a GPT-2 with random weights (step 1), without MLPs if `settings.mlp` is 0 (step 6)."""
    end = language.index[END]
    config = GPT2Config(
        vocab_size=len(language.vocabulary),
        n_positions=settings.positions,
        n_embd=settings.width,
        n_layer=n_layers,
        n_head=settings.heads,
        n_inner=max(settings.mlp, 1),
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=settings.dropout,
        bos_token_id=end,
        eos_token_id=end,
        tie_word_embeddings=False,
    )
    model: Any = GPT2LMHeadModel(config)
    model.set_attn_implementation("eager")  # the one that returns attention weights
    if settings.mlp == 0:
        silence_mlps(model)
    return model


@torch.no_grad()
def silence_mlps(model: Any) -> None:
    """Set the weights of every MLP to zero and exclude them from training (step 6)."""
    for block in model.transformer.h:
        for parameter in block.mlp.parameters():
            parameter.zero_()
    freeze_mlps(model)


def freeze_mlps(model: Any) -> None:
    """Exclude the MLPs and the LayerNorms before them from training."""
    for block in model.transformer.h:
        block.ln_2.requires_grad_(False)
        block.mlp.requires_grad_(False)


@torch.no_grad()
def fade_mlps(model: Any, factor: float) -> None:
    """Multiply the outputs of every MLP by `factor`."""
    for block in model.transformer.h:
        for parameter in block.mlp.c_proj.parameters():
            parameter.mul_(factor)


@torch.no_grad()
def grow(model: Any, language: Language, settings: Settings) -> Any:
    """Return a model with the trained layers above `settings.grown` new ones (step 3)."""
    grown = make_model(language, settings, settings.layers)
    for layer, trained in zip(
        grown.transformer.h[settings.grown :], model.transformer.h, strict=True
    ):
        for part in ("ln_1", "attn", "ln_2", "mlp") if settings.mlp else ("ln_1", "attn"):
            getattr(layer, part).load_state_dict(getattr(trained, part).state_dict())
    for part in ("transformer.wte", "transformer.wpe", "transformer.ln_f", "lm_head"):
        grown.get_submodule(part).load_state_dict(model.get_submodule(part).state_dict())
    return grown


def compute_loss(
    output: Any, ids: torch.Tensor, answers: torch.Tensor, answer_weight: float, penalty: float
) -> tuple[torch.Tensor, float]:
    """Return the loss to minimise, and the unweighted mean loss of the answers."""
    logits = output.logits[:, :-1].float().transpose(1, 2)
    each = F.cross_entropy(logits, ids[:, 1:], reduction="none")
    hit = answers[:, 1:].float()
    weights = 1 + (answer_weight - 1) * hit
    spread = torch.stack([1 - w.square().sum(-1).mean() for w in output.attentions]).mean()
    answer = (each.detach() * hit).sum() / hit.sum().clamp(min=1)
    loss = (each * weights).sum() / weights.sum() + penalty * spread
    return loss, float(answer)


def compute_rate(step: int, steps: int, settings: Settings) -> float:
    """Return the learning rate of a step: linear warm-up, then a cosine to zero."""
    warmup = max(1, int(settings.warmup * steps))
    if step < warmup:
        return settings.rate * (step + 1) / warmup
    return settings.rate * (1 + math.cos(math.pi * (step - warmup) / (steps - warmup))) / 2


def save(model: Any, language: Language, folder: Path, record: object) -> None:
    """Write model, tokenizer and training record, each file atomically."""
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=language.make_tokenizer(),
        unk_token=UNKNOWN,
        bos_token=END,
        eos_token=END,
        pad_token=END,
    )
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=folder.parent) as name:
        temporary = Path(name)
        model.save_pretrained(temporary)
        tokenizer.save_pretrained(temporary)
        content = json.dumps(record, indent=1) + "\n"
        (temporary / "training.json").write_text(content, encoding="utf-8")
        for file in temporary.iterdir():
            file.chmod(0o644)
            file.replace(folder / file.name)


class Training:
    """The state of a training: language, settings, random generator and start time."""

    def __init__(self, settings: Settings, out: Path, language: Language) -> None:
        self.settings, self.out, self.language = settings, out, language
        self.rng = random.Random(settings.seed)
        self.prompts = language.make_held_out_prompts(settings.seed + 1, settings.per_order)
        self.start = time.perf_counter()

    def run_stage(
        self,
        name: str,
        model: Any,
        steps: int,
        shares: Mapping[str, float],
        spread: float,
        fading: bool = False,
    ) -> None:
        """Train for `steps`; with `fading`, scale the MLPs linearly to zero at the last step."""
        settings = self.settings
        dtype = getattr(torch, settings.dtype)
        trained = [p for p in model.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(
            trained, lr=0.0, betas=(0.9, 0.98), weight_decay=settings.decay, fused=True
        )
        logger.info(f"{name}: {model.num_parameters():,} parameters, {steps} steps")
        mean_answer = math.nan
        model.train()
        with Progress(name, steps, "steps") as progress:
            for step in range(steps):
                optimizer.param_groups[0]["lr"] = compute_rate(step, steps, settings)
                drawn = self.language.make_batch(self.rng, settings.batch, settings.length, shares)
                ids, answers = map(torch.from_numpy, drawn)
                with torch.autocast("cpu", dtype, enabled=dtype is not torch.float32):
                    output = model(ids, use_cache=False, output_attentions=True)
                loss, answer = compute_loss(output, ids, answers, settings.answer_weight, spread)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(trained, 1.0)
                optimizer.step()
                if fading:
                    fade_mlps(model, 1 - 1 / (steps - step))
                mean_answer = 0.99 * mean_answer + 0.01 * answer if step else answer
                progress.advance(1)
                if (step + 1) % settings.every == 0 or step + 1 == steps:
                    self.record(name, model, step + 1, mean_answer)

    def record(self, name: str, model: Any, step: int, mean_answer: float) -> None:
        """Measure held-out prompts and write the model with a record of them (step 7)."""
        measured = measure(model, self.prompts)
        answers = f"answers in training {mean_answer:.4f}"
        logger.info(f"{name}, step {step}: {answers}; held out {measured.format()}")
        record = {
            "settings": asdict(self.settings),
            "stage": name,
            "step": step,
            "seconds": round(time.perf_counter() - self.start),
            "training_answer_loss": round(mean_answer, 5),
            "held_out": {
                "prompts": len(self.prompts),
                "accuracy": round(measured.accuracy, 5),
                "logit_diff": round(measured.logit_diff, 4),
                "loss": round(measured.loss, 6),
            },
        }
        save(model, self.language, self.out, record)


def train(settings: Settings, out: Path, language: Language | None = None) -> Any:
    """Train both stages, or with `settings.start` those of step 6; return the model."""
    language = language or Language()
    torch.manual_seed(settings.seed)
    training = Training(settings, out, language)
    if settings.start:
        model: Any = GPT2LMHeadModel.from_pretrained(settings.start, attn_implementation="eager")
        freeze_mlps(model)
        training.run_stage("fade", model, settings.first_steps, FULL, settings.spread, fading=True)
    else:
        model = make_model(language, settings, settings.layers - settings.grown)
        training.run_stage("simple", model, settings.first_steps, SIMPLE, spread=0.0)
    model = grow(model, language, settings)
    training.run_stage("full", model, settings.steps, FULL, settings.spread)
    return model


def main(argv: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m svt.ioi_mini.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for the model")
    for field in fields(Settings):
        flag = f"--{field.name.replace('_', '-')}"
        default = field.default
        parser.add_argument(flag, type=type(default), default=default, help=f"default {default}")
    options = vars(parser.parse_args(argv))
    disable_progress_bar()
    show_messages()
    out = options.pop("out")
    settings = Settings(**options)
    if settings.start and settings.mlp:
        parser.error("--start fades the MLPs of a trained model; set --mlp 0, too")
    train(settings, out)


if __name__ == "__main__":
    main()
