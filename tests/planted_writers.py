"""Planted writers whose contributions and effects part ways, each known from how it was made.

1. Basis, tokens, prompts and noise heads are those of tests/planted.py, but noise heads write
   nothing along markers. Every token carries one more direction, `out`; what a writer but P writes,
   it writes at every token.

       P            at P alone: p                  E1, E2       e, each of them enough
       lone         s                              E3           r
       alike        f                              against      takes away 0.45 of that r
       same         g

2. Three heads attend from the end to P, and less to token 0. `even` reads (query, key) = (s, p),
   (f, out), (out, g): what `alike` writes at the end raises every score of the row by as much, and
   so does what `same` writes at every source. `doubled` reads (e, p); `torn` reads (r, p), much of
   which is taken away, so that its weight lies between 0 and 1.
3. The slices of a head have different singular values, or the SVD would be free to turn them.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from transformers import GPT2Config, GPT2LMHeadModel

from svt.dataset.prompt import Prompt
from tests.checkpoints import save
from tests.planted import (
    CONSTANT,
    D_HEAD,
    D_MODEL,
    KINDS,
    MARK,
    MARKERS,
    N_CTX,
    N_FILLERS,
    N_HEADS,
    NOISE,
    SCALE,
    SIGNAL,
    Array,
    Head,
    directions,
    install,
    noise_head,
    orthonormal,
    planted_head,
    prompt,
    put,
    random_basis,
)

N_LAYERS = 3
PLAN_OF_P = (0, "P", "Q", "Q", "p")
# name: layer, what it writes at every token, how much of MARK
EVERYWHERE = {
    "lone": (0, "s", 1.0),
    "alike": (0, "f", 1.0),
    "same": (0, "g", 1.0),
    "E1": (1, "e", 1.0),
    "E2": (1, "e", 1.0),
    "E3": (0, "r", 1.0),
    "against": (1, "r", -0.45),
}
# name: what its signal slices read, query and key
READERS = {
    "even": (("s", "p"), ("f", "out"), ("out", "g")),
    "doubled": (("e", "p"),),
    "torn": (("r", "p"),),
}


@dataclass(frozen=True)
class PlantedWriters:
    """The checkpoint, prompts for it, and where each head by name is."""

    path: Path
    prompts: tuple[Prompt, ...]
    place: dict[str, Head]


def planted_writers(
    folder: Path, seed: int, noise: float = 0.005, n_prompts: int = 12
) -> PlantedWriters:
    """A checkpoint in `folder`; where heads are, basis, noise and prompts hang on `seed`."""
    numbers = np.random.default_rng(seed)
    at, space = random_basis(numbers)
    at["s"], space = space[0], space[1:]
    seats = {layer: numbers.permutation(N_HEADS).tolist() for layer in range(N_LAYERS)}
    layers = {"P": 0} | {name: plan[0] for name, plan in EVERYWHERE.items()}
    layers |= dict.fromkeys(READERS, N_LAYERS - 1)
    place = {name: (layer, seats[layer].pop()) for name, layer in layers.items()}
    names = {head: name for name, head in place.items()}
    words = (*KINDS, *(f"f{i}" for i in range(N_FILLERS)))
    model = GPT2LMHeadModel(
        GPT2Config(
            vocab_size=1 + len(words), n_positions=N_CTX, n_embd=D_MODEL, n_layer=N_LAYERS,
            n_head=N_HEADS, n_inner=4, bos_token_id=0, eos_token_id=0,
        )
    )  # fmt: skip
    for name, weight in model.named_parameters():
        weight.data.fill_(1.0 if "ln_" in name and name.endswith("weight") else 0.0)
    embed = CONSTANT * at["constant"] + MARK * at["out"]
    embed = embed + NOISE * directions(numbers, space, 1 + len(words))
    for token, kind in enumerate(KINDS, start=1):
        embed[token] += MARK * at[kind]
    put(model.transformer.wte.weight, embed)
    unmarked = dict.fromkeys(MARKERS, np.zeros(D_MODEL))  # what noise heads write along them
    spread = NOISE / len(space) ** 0.5 / SCALE
    for layer, block in enumerate(model.transformer.h):
        for head in range(N_HEADS):
            name = names.get((layer, head))
            parts = noise_head(numbers, at | unmarked, space, spread)
            if name == "P":
                parts = planted_head(numbers, at, space, PLAN_OF_P, spread, noise)
            elif name in READERS:
                parts = *_slices(numbers, at, READERS[name], space, spread, noise), *parts[3:]
            elif name is not None:
                parts = *parts[:3], *_writing(at, *EVERYWHERE[name][1:])
            install(block.attn, head, numbers, *parts)
    prompts = tuple(prompt(i, numbers, words) for i in range(n_prompts))
    return PlantedWriters(save(folder, model, words), prompts, place)


def _writing(at: dict[str, Array], marker: str, much: float) -> tuple[Array, Array]:
    """w_v, w_o of a head that writes the same wherever it attends to."""
    w_v, w_o = np.zeros((D_MODEL, D_HEAD)), np.zeros((D_HEAD, D_MODEL))
    w_v[:, 0] = at["constant"] * SCALE / CONSTANT
    w_o[0] = at[marker] * MARK * much
    return w_v, w_o


def _slices(
    numbers: np.random.Generator,
    at: dict[str, Array],
    reads: tuple[tuple[str, str], ...],
    space: Array,
    spread: float,
    noise: float,
) -> tuple[Array, Array, Array]:
    """u, v: [slice, d]; sigma: [slice], as tests/planted.py has them for one slice of signal."""
    signal, mark, constant = SIGNAL * D_HEAD**0.5, MARK / SCALE, CONSTANT / SCALE
    n_noise = D_HEAD - 1 - len(reads)
    pull = np.array([-signal / 2 / constant**2, 0.4 * signal / constant / mark])
    rest = pull[0] * at["constant"] + pull[1] * at["bos"]
    queries, keys = ([at[pair[side]] for pair in reads] for side in (0, 1))
    u = np.vstack([*queries, at["constant"], orthonormal(numbers, space, n_noise)])
    v = np.vstack([*keys, rest / np.linalg.norm(rest), orthonormal(numbers, space, n_noise)])
    each = noise * signal / n_noise**0.5 / spread**2
    sigma = signal / mark**2 * (1 - 0.1 * np.arange(len(reads)))  # 3
    return u, v, np.array([*sigma, np.linalg.norm(rest), *[each] * n_noise])
