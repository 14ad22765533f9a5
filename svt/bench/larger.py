"""The cost of a dump of larger models: run two layers of each and calculate the rest.

1. Write a checkpoint with the configuration of the model's own family and its shape, but two
   decoder layers, a small vocabulary and random weights; queries are scaled so that scores have a
   standard deviation of SCORE_STD, at which a head fires about as often as one of SmolLM2.
2. In a separate process, load it and dump N_RUN prompts of N_TOKENS tokens: strong pairs without
   and with effects, and the defaults; time the forward pass alone.
3. From the shape and the stored pairs, count the products (a multiplication with its addition) of
   each part, for the two layers and for the whole model (`count_products`).
4. Calculate the whole model for N_PROMPTS prompts, with as many pairs per head as SmolLM2 stores
   for a prompt of N_TOKENS tokens. Loading, decomposition and forward pass are proportional to
   layers; a pair takes its time in the run, and its additional products in the whole model take the
   time of as many products in the forward pass; the store is proportional to stored numbers. For
   the shape of SmolLM2, also run all layers, and compare.
5. Compute the memory for loading with svt/model/memory.py, from a file with the header of the whole
   model's weights and no content, and that of a dump beside the weights (`dump_bytes`).
"""

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import astuple, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from svt.bench.dumps import N_PROMPTS, run_forward, table_bytes
from svt.bench.rows import Row
from svt.bench.setting import STRONG, configuration, draw_random
from svt.cli.console import say
from svt.compute.batches import plan_batches
from svt.compute.columns import Batch
from svt.compute.decompose import decompose_model
from svt.compute.dump import dump_batches
from svt.compute.load import load_model
from svt.db.catalog import create_tables
from svt.model.files import CONFIG, WHOLE
from svt.model.memory import MemoryNeeds, estimate_needs
from svt.stages.dump import peak_bytes
from svt.store.writer import StoreWriter

T = TypeVar("T")
N_LAYERS = 2  # layers that are run; the second has heads below it
N_RUN = 16
N_TOKENS = 16
SCORE_STD = 1.1
SMALL = {"vocab_size": 1024, "max_position_embeddings": 1024}
KINDS = {  # overrides by kind of dump
    "strong": STRONG,
    "effects": STRONG[:2],
    "defaults": (),
}
PAIRS = {"strong": 677 / 270, "effects": 677 / 270, "defaults": 4330 / 270}  # per head of SmolLM2
_KEYS = (  # of the fields of Shape, in a transformers configuration
    *("num_hidden_layers", "num_attention_heads", "num_key_value_heads"),
    *("hidden_size", "head_dim", "intermediate_size"),
)


@dataclass(frozen=True)
class Shape:
    """The numbers that determine the cost of a dump."""

    n_layers: int
    n_heads: int
    n_key_heads: int
    d_model: int
    d_head: int
    d_mlp: int

    @classmethod
    def of(cls, config: Any) -> "Shape":
        """Return the shape that a transformers configuration describes."""
        return cls(*(getattr(config, key) for key in _KEYS))

    def settings(self) -> dict[str, Any]:
        """Return the shape as settings of a transformers configuration."""
        return dict(zip(_KEYS, astuple(self), strict=True))


SMOLLM2 = Shape(30, 9, 3, 576, 64, 1536)
_LLAMA = {"vocab_size": 128256}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {  # type and published shape by name
    "Llama-3.2-1B": (
        "llama",
        Shape(16, 32, 8, 2048, 64, 8192).settings() | _LLAMA | {"tie_word_embeddings": True},
    ),
    "Gemma-2-2B": ("gemma2", {}),  # the type's own defaults
    "Llama-3-8B": ("llama", Shape(32, 32, 8, 4096, 128, 14336).settings() | _LLAMA),
}


@dataclass(frozen=True)
class Products:
    """The products of each part: in all for decomposition, per prompt for the others."""

    decomposition: float
    forward: float
    contributions: float
    effects: float

    def of_pairs(self, effects: bool) -> float:
        """Return the products for stored pairs, with or without effects."""
        return self.contributions + effects * self.effects


@dataclass(frozen=True)
class KindCost:
    """The cost of one kind of dump of the two layers; processor seconds and bytes."""

    computing: float  # without the forward pass
    writing: float
    pairs: int
    bytes_a_pair: float  # of the store without pair_upstream
    bytes_a_number: float  # of pair_upstream

    def density(self, shape: Shape, n_layers: int = N_LAYERS) -> float:
        """Return the stored pairs per head and prompt."""
        return self.pairs / (N_RUN * n_layers * shape.n_heads)


@dataclass(frozen=True)
class Measured:
    """The cost of the run of two layers; processor seconds and bytes."""

    expected: int  # memory to load, as svt predicts it
    load_peak: int
    peak: int  # of the whole process
    load: float
    decompose: float
    forward: float
    kinds: dict[str, KindCost]


def larger_rows(folder: Path, repeats: int) -> list[Row]:
    """Return the rows of every model; each is measured once, independent of `repeats`."""
    rows = compare_rows(folder)
    for name, (kind, settings) in MODELS.items():
        config = AutoConfig.for_model(kind, **settings)
        measured = run_layers(folder / "layers", kind, settings, N_LAYERS)
        needs, shape = needs_of_shape(folder / "layers", config), Shape.of(config)  # 5
        rows += measured_rows(name, shape, measured)
        rows += calculated_rows(name, shape, measured, needs)
    return rows


def compare_rows(folder: Path) -> list[Row]:
    """Return the rows that compare calculated and measured time for pairs on SmolLM2 (step 4)."""
    few, whole = (
        run_layers(folder / "layers", "llama", SMOLLM2.settings(), n)
        for n in (N_LAYERS, SMOLLM2.n_layers)
    )
    rows = []
    for kind, cost in whole.kinds.items():
        density = cost.density(SMOLLM2, SMOLLM2.n_layers)
        calculated = calculate_computing(SMOLLM2, few, kind, N_RUN, density)
        name = f"SmolLM2's shape: {kind}, computing for pairs"
        rows += [
            Row(f"{name}, measured", [cost.computing], "s"),
            Row(f"{name}, calculated / measured", [calculated / cost.computing]),
        ]
    return rows


def run_layers(folder: Path, kind: str, settings: dict[str, Any], n_layers: int) -> Measured:
    """Run `n_layers` layers of a type and shape (steps 1 and 2); `folder` is empty afterwards."""
    say(f"{n_layers} layers of a {kind} of width {settings.get('hidden_size', 'as published')}")
    make_layers(folder, kind, settings | {"num_hidden_layers": n_layers})  # 1
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
        measured = process.submit(measure_layers, folder).result()  # 2
    for file in folder.iterdir():
        file.unlink()
    return measured


def make_layers(folder: Path, kind: str, settings: dict[str, Any]) -> None:
    """Write the checkpoint of a type and shape (step 1)."""
    torch.manual_seed(0)
    config = AutoConfig.for_model(kind, **(settings | SMALL))
    model = AutoModelForCausalLM.from_config(config)
    std = config.initializer_range**2 * config.hidden_size
    for name, weight in model.named_parameters():
        if name.endswith("q_proj.weight"):
            weight.data *= SCORE_STD / std
    model.to(torch.bfloat16).save_pretrained(folder)


def measure_layers(checkpoint: Path) -> Measured:
    """Load and dump the checkpoint, in a fresh process (step 2); seconds are of all threads."""
    config = configuration(checkpoint)
    dataset = draw_random(N_RUN, N_TOKENS, SMALL["vocab_size"])
    needs = estimate_needs(checkpoint, json.loads((checkpoint / CONFIG).read_text()), 4)
    model, load = _time(load_model, config.model)
    load_peak = peak_bytes()
    svd, decompose = _time(decompose_model, model)
    run_forward(model, config, dataset, logits=False)  # warm
    _, forward = _time(run_forward, model, config, dataset, False)
    costs = {}
    for kind, overrides in KINDS.items():
        settings = configuration(checkpoint, *overrides).dump
        batches = dump_batches(model, svd, plan_batches(model, dataset.prompts, settings), settings)
        parts, seconds = _time(lambda run: [part for batch in run for part in batch], batches)
        costs[kind] = _store_parts(parts, checkpoint / f"{kind}.duckdb", seconds - forward)
    return Measured(needs.peak, load_peak, peak_bytes(), load, decompose, forward, costs)


def _time(work: Callable[..., T], *args: Any) -> tuple[T, float]:
    """Return the result of a call and its seconds."""
    start = time.process_time()
    return work(*args), time.process_time() - start


def _store_parts(parts: Sequence[Batch], path: Path, computing: float) -> KindCost:
    """Write the tables of a dump into a store at `path` and return the cost."""
    start = time.process_time()
    with duckdb.connect() as con:
        con.execute(f"ATTACH '{path}' AS store")
        create_tables(con, "store", "store")
        for part in parts:
            StoreWriter(con).append_all({name: part[name] for name in part if name != "prompts"})
        con.execute("DETACH store")
    writing, size = time.process_time() - start, path.stat().st_size
    upstream = table_bytes(path, "pair_upstream")
    with duckdb.connect(str(path), read_only=True) as con:
        ((pairs, numbers),) = con.execute(
            "SELECT (SELECT count(*) FROM pairs), (SELECT sum(len(contributions) + "
            "coalesce(len(weights_without), 0))::BIGINT FROM pair_upstream)"
        ).fetchall()
    return KindCost(computing, writing, pairs, (size - upstream) / pairs, upstream / numbers)


def count_products(shape: Shape, n_tokens: int, pairs: float) -> Products:
    """Return the products (step 3); `pairs` are per head and prompt of `n_tokens` tokens.

    Pairs fall on the rows of a head as if drawn at random, so n (1 - (1 - 1 / n)^pairs) of its n
    rows have one.

    Decomposition: QR and its Q, u or v, and their orthonormality, 2 d r^2 each per head (QR of keys
    per key head), and 14 r^3 for the SVD of the core and the singular values of its factors.
    Contributions: z W_O of every head below the last layer at every token; 2 r d a pair for its
    probes and 4 r^2 for its coordinates; d for each head below on each side.
    Effects: the norm without each writer at every token and layer; r d for the probe of a partner
    and d for each head below: at dest the keys of each row that has a pair, half the tokens on
    average, at src the pair's query.
    """
    n, heads, keys = shape.n_layers, shape.n_heads, shape.n_key_heads
    d, r = shape.d_model, shape.d_head
    of_heads = 2 * d * r * (heads + keys) + 3 * d * shape.d_mlp  # a token and layer
    n_pairs, n_below = pairs * heads * n, heads * (n - 1) / 2  # the mean over the layers
    writing = n_tokens * heads * (n - 1) * r * d
    rows = n * heads * n_tokens * (1 - (1 - 1 / n_tokens) ** pairs)
    partners = rows * (n_tokens + 1) / 2 + n_pairs
    norms = n_tokens * n * heads * n * d
    return Products(
        decomposition=n * (heads * (6 * d * r**2 + 14 * r**3) + keys * 2 * d * r**2),
        forward=n * (n_tokens * of_heads + 2 * n_tokens**2 * heads * r),
        contributions=writing + n_pairs * (2 * r * d + 4 * r**2 + 2 * n_below * d),
        effects=norms + partners * (r + n_below) * d,
    )


def calculate_computing(
    shape: Shape, measured: Measured, kind: str, n_prompts: int, density: float
) -> float:
    """Return the seconds for the pairs of prompts (step 4); `density` is per head and prompt."""
    cost, effects = measured.kinds[kind], kind != "strong"
    few = replace(shape, n_layers=N_LAYERS)
    whole = count_products(shape, N_TOKENS, density)
    run = count_products(few, N_TOKENS, cost.density(shape))
    n_pairs = density * shape.n_heads * shape.n_layers
    ratio = n_pairs * N_RUN / cost.pairs  # pairs of a prompt / those of a prompt of the run
    more = whole.of_pairs(effects) - ratio * run.of_pairs(effects)
    rate = measured.forward / N_RUN / run.forward
    return n_prompts * (ratio * cost.computing / N_RUN + max(0.0, more) * rate)


def dump_bytes(shape: Shape) -> int:
    """Return the bytes of a dump with effects beside the model's weights and dump.memory_gb.

    They are, for every head, u and v in double precision, W_Q, W_K and W_O twice; and W_Q and W_K
    of the model.
    """
    a_head, heads = shape.d_model * shape.d_head, shape.n_heads
    vectors, weights = 2 * 8 * a_head * heads, 4 * a_head * (5 * heads + shape.n_key_heads)
    return shape.n_layers * (vectors + weights)


def needs_of_shape(folder: Path, config: Any) -> MemoryNeeds:
    """Return the memory for loading (step 5), from a sparse file as long as weights in bfloat16."""
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    header, end = {}, 0
    for name, weight in model.named_parameters():
        start, end = end, end + 2 * weight.numel()
        header[name] = {
            "dtype": "BF16",
            "shape": list(weight.shape),
            "data_offsets": [start, end],
        }
    content = json.dumps(header).encode()
    folder.mkdir(exist_ok=True)
    with (folder / WHOLE).open("wb") as file:
        file.write(len(content).to_bytes(8, "little") + content)
        file.truncate(8 + len(content) + end)
    return estimate_needs(folder, config.to_dict(), 4)


def measured_rows(name: str, shape: Shape, measured: Measured) -> list[Row]:
    """Return the rows of step 2."""
    name = f"{name}, {N_LAYERS} layers"
    rows = [
        Row(f"{name}: memory to load, as svt predicts it", [measured.expected / 1e9], "GB"),
        Row(f"{name}: memory to load", [measured.load_peak / 1e9], "GB"),
        Row(f"{name}: memory to load and dump", [measured.peak / 1e9], "GB"),
        Row(f"{name}: load, a layer", [measured.load / N_LAYERS], "s"),
        Row(f"{name}: decompose, a layer", [measured.decompose / N_LAYERS], "s"),
        Row(f"{name}: forward pass, a layer", [measured.forward / N_LAYERS], "s"),
    ]
    for kind, cost in measured.kinds.items():
        of_kind, layer = f"{name}: {kind}", cost.computing / N_LAYERS
        rows += [
            Row(f"{of_kind}, pairs a head and prompt", [cost.density(shape)]),
            Row(f"{of_kind}, computing for pairs, a layer", [layer], "s"),
            Row(f"{of_kind}, the same, a pair", [1e6 * cost.computing / cost.pairs], "us"),
            Row(f"{of_kind}, writing, a pair", [1e6 * cost.writing / cost.pairs], "us"),
            Row(f"{of_kind}, bytes a pair without upstream", [cost.bytes_a_pair]),
            Row(f"{of_kind}, bytes an upstream number", [cost.bytes_a_number]),
        ]
    return rows


def calculated_rows(name: str, shape: Shape, measured: Measured, needs: MemoryNeeds) -> list[Row]:
    """Return the rows of steps 3 to 5 for the whole model."""
    name, layers = f"{name}, calculated", shape.n_layers / N_LAYERS
    forward = measured.forward * layers * N_PROMPTS / N_RUN
    once = count_products(shape, N_TOKENS, 0)
    rows = [
        Row(f"{name}: weights and their copies in memory", [needs.stays / 1e9], "GB"),
        Row(f"{name}: least memory to load", [needs.least / 1e9], "GB"),
        Row(f"{name}: memory to load, as svt predicts it", [needs.peak / 1e9], "GB"),
        Row(f"{name}: memory of a dump beside the weights", [dump_bytes(shape) / 1e9], "GB"),
        Row(f"{name}: products of decomposition, once", [once.decomposition / 1e9], "billion"),
        Row(f"{name}: products of a forward pass, a prompt", [once.forward / 1e9], "billion"),
        Row(f"{name}: load the layers", [measured.load * layers], "s"),
        Row(f"{name}: decompose", [measured.decompose * layers], "s"),
        Row(f"{name}: forward passes of {N_PROMPTS} prompts", [forward], "s"),
    ]
    for kind, density in PAIRS.items():
        effects = kind != "strong"
        cost, products = measured.kinds[kind], count_products(shape, N_TOKENS, density)
        computing = calculate_computing(shape, measured, kind, N_PROMPTS, density)
        n_pairs = N_PROMPTS * density * shape.n_heads * shape.n_layers
        numbers = n_pairs * shape.n_heads * (shape.n_layers - 1)  # two sides, the mean layer
        size = n_pairs * cost.bytes_a_pair + numbers * (4 + 2 * effects)
        of_kind = f"{name}: {kind}"
        rows += [
            Row(f"{of_kind}, products of contributions", [products.contributions / 1e9], "billion"),
            Row(f"{of_kind}, products of effects", [products.effects * effects / 1e9], "billion"),
            Row(f"{of_kind}, upstream contributions", [numbers / 1e6], "million"),
            Row(f"{of_kind}, store", [size / 1e9], "GB"),
            Row(f"{of_kind}, computing for pairs", [computing], "s"),
        ]
    return rows
