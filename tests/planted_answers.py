"""The planted circuit (tests/planted.py) with prompts that ask for what it does.

1. In every second prompt R is replaced by a filler, so the root does not write `out` there.
2. The word YES reads `out` at the end, the word NO reads the constant direction half as strongly:
   YES is right where R is, NO elsewhere.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import GPT2LMHeadModel

from svt.dataset.prompt import Prompt
from tests.checkpoints import save
from tests.planted import CONSTANT, D_HEAD, D_MODEL, KINDS, MARK, N_FILLERS, Planted, planted

YES, NO, FILLER = 1, 2, 1 + len(KINDS)
GAIN = 10.0


def planted_with_answers(folder: Path, seed: int, n_prompts: int = 24) -> Planted:
    circuit = planted(folder, seed, n_prompts=n_prompts)
    model = GPT2LMHeadModel.from_pretrained(folder)
    layer, head = circuit.root
    attn: Any = model.transformer.h[layer].attn
    own = slice(head * D_HEAD, (head + 1) * D_HEAD)
    embed = model.transformer.wte.weight.detach()
    w_v = attn.c_attn.weight.detach()[:, 2 * D_MODEL :][:, own]
    out = embed[1 + KINDS.index("P")] @ w_v @ attn.c_proj.weight.detach()[own]
    constant = embed[1:].mean(0)
    words = torch.zeros_like(embed)  # 2
    words[YES] = GAIN * out / out.norm()
    words[NO] = GAIN * constant / constant.norm() * MARK / CONSTANT / 2
    model.config.tie_word_embeddings = False
    model.lm_head.weight = torch.nn.Parameter(words)
    save(folder, model, (*KINDS, *(f"f{i}" for i in range(N_FILLERS))))
    return replace(circuit, prompts=tuple(map(_asking, circuit.prompts)))


def _asking(prompt: Prompt) -> Prompt:
    """The prompt with its answer; in every second one a filler replaces R (step 1)."""
    tokens, (right, wrong) = list(prompt.tokens), (YES, NO)
    if prompt.prompt_id % 2:
        tokens[prompt.roles["R"]] = FILLER
        right, wrong = NO, YES
    return replace(
        prompt,
        tokens=tuple(tokens),
        answer=(right,),
        distractor=(wrong,),
        answer_texts=(KINDS[right - 1],),
        distractor_texts=(KINDS[wrong - 1],),
    )
