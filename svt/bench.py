"""`python -m svt.bench`: speed and memory on GPT-2 small's shape, as ratios taken in one run.

1. A checkpoint of 12 layers, 12 heads, width 768 with random weights is made in a temporary
   folder; so many heads, drawn at random, get sharper queries and keys that about 50 pairs of a
   prompt fire, as GPT-2 small's do on IOI.
2. In turns, `REPEATS` times: the bare forward pass of 256 IOI prompts in the dump's own batches,
   and the dump stage of the same prompts into a store (`dump.min_weight=0.5 dump.sample=0`),
   whose phases it times itself.
3. On that store, from the uppermost heads that fire at the end: traces at other coverages, and
   graphs at other count thresholds.
4. Interventions, scope by scope, on the heaviest edges of that trace into the upper half of the
   layers: changed runs a second, set-up and writing included, against one full forward pass each.
5. Every number is a median with its range; the table is printed and written to outputs/bench.json.
"""

import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from transformers import GPT2Config, GPT2LMHeadModel

from svt.cli import register_resolvers
from svt.compute.forward import layout
from svt.compute.model import Model, load_model
from svt.config import Config, Head, Scope, from_mapping
from svt.dataset import Dataset, Prompt, load_prompts, load_tokenizer
from svt.dump import dump, peak_bytes
from svt.files import write_atomically
from svt.intervene import intervening
from svt.paths import conf_dir
from svt.progress import say
from svt.query.connect import connect
from svt.query.sql import run as run_query
from svt.query.trace import trace
from svt.results import writing_results
from svt.store.identity import Identity

REPEATS = 3
FIRING_PAIRS = 50
SHARPNESS = 6.0
N_ROOTS = 12
SCOPES: tuple[Scope, ...] = ("global", "local_qk", "local_qkv")
UPPER_EDGES = "select * from graph_edges where layer >= 6 order by total desc limit 4"
_OUT = Path("outputs") / "bench.json"


def main() -> None:
    """Measures, prints the table, writes outputs/bench.json."""
    with tempfile.TemporaryDirectory() as folder:
        measured = measure(Path(folder))
    rows = table(measured)
    write_atomically(
        _OUT,
        json.dumps({"machine": machine(), "table": rows, "measured": measured}, indent=1).encode(),
    )
    for name, value in rows.items():
        print(f"{name:<48} {value}")
    print(f"written to {_OUT}")


def measure(folder: Path) -> dict[str, Any]:
    """Seconds of every part in the order they were taken, and sizes; see the module."""
    bundled = configuration()
    config = replace(
        bundled, model=replace(bundled.model, name="bench", path=str(folder / "model"))
    )
    dataset = load_prompts(config.dataset, load_tokenizer(Path(str(bundled.model.path))))
    say("making the checkpoint")
    make_checkpoint(folder / "model", dataset.prompts)  # 1
    model = load_model(config.model)
    measured: dict[str, Any] = {"prompts": len(dataset.prompts), "forward": [], "phases": []}
    measured |= {"bare_with_logits": [], "stage": [], "coverage": [], "count": []}
    store = folder / "store.duckdb"
    for turn in range(REPEATS):  # 2
        say(f"turn {turn + 1} of {REPEATS}: bare forward pass, dump")
        measured["forward"].append(timed(forward, model, config, dataset, False))
        measured["bare_with_logits"].append(timed(forward, model, config, dataset, True))
        identity = Identity("bench", "bench")
        measured["stage"].append(timed(dump, config, dataset, identity, store))
        with duckdb.connect(str(store), read_only=True) as con:
            measured["phases"].append(json.loads(_one(con, "SELECT seconds FROM dump")))
            measured["pairs"] = _one(con, "SELECT count(*) FROM pairs")
            measured["firing_pairs"] = _one(con, "SELECT count(*) FROM pairs WHERE eligible")
            measured["upstream_rows"] = _one(con, "SELECT count(*) FROM upstream")
    measured["roots"] = roots = top_firing_heads(store)
    for turn, coverage in enumerate((0.5, 0.6, 0.7)):  # 3
        asked = replace(config.trace, coverage=coverage, roots=roots)
        with writing_results(folder / str(turn), store, keep=False) as con:
            measured["coverage"].append(timed(trace, con, asked))
            for n in (32, 65, 170):
                measured["count"].append(timed(run_query, con, "graph_edges", min_count=n))
    measured["changed_runs"] = {scope: [] for scope in SCOPES}
    for turn, scope in product(range(REPEATS), SCOPES):  # 4
        say(f"turn {turn + 1} of {REPEATS}: interventions, {scope}")
        settings = replace(
            config.intervene, edges=UPPER_EDGES, sets=None, scopes=(scope,), repeats=1
        )
        start = time.perf_counter()
        with intervening(
            replace(config, intervene=settings), folder / "0", store, model, dataset.prompts
        ) as done:
            n_runs = done.plan.pairs["run"].n_unique() * len(done.plan.variants)
        measured["changed_runs"][scope].append(n_runs / (time.perf_counter() - start))
    return measured | {"store_bytes": store.stat().st_size, "peak_bytes": peak_bytes()}


def top_firing_heads(store: Path) -> tuple[Head, ...]:
    """Heads that fire from the last token, the uppermost first."""
    with connect(store) as con:
        rows = run_query(con, "firings").filter(pl.col("dest_role") == "end")
    heads = rows.select("layer", "head").unique().sort("layer", "head", descending=True).rows()
    return tuple(heads[:N_ROOTS])


def configuration() -> Config:
    """The default run's configuration with the benchmark's dump settings."""
    register_resolvers()
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        tree: Any = OmegaConf.to_container(
            compose("config", ["dump.min_weight=0.5", "dump.sample=0"]), resolve=True
        )
    return from_mapping(tree)


def make_checkpoint(folder: Path, prompts: Sequence[Prompt]) -> None:
    """Step 1: GPT-2 small's shape; how many heads are sharpened is found by bisection."""
    torch.manual_seed(0)
    model = GPT2LMHeadModel(GPT2Config()).eval()
    model.set_attn_implementation("eager")
    attention = [block.attn.c_attn.weight for block in model.transformer.h]
    plain = [weight.detach().clone() for weight in attention]
    heads = torch.randperm(12 * 12).tolist()
    few, many = 0, len(heads)
    while many - few > 1:
        tried = (few + many) // 2
        for weight, before in zip(attention, plain, strict=True):
            weight.data.copy_(before)
        for layer, head in (divmod(index, 12) for index in heads[:tried]):
            for part in (0, 768):  # queries, keys
                attention[layer].data[:, part + 64 * head : part + 64 * (head + 1)] *= SHARPNESS
        few, many = (few, tried) if _firing(model, prompts[:16]) > FIRING_PAIRS else (tried, many)
    model.save_pretrained(folder)


def _firing(model: GPT2LMHeadModel, prompts: Sequence[Prompt]) -> float:
    """Pairs a prompt with weight at least 0.5 and a source that is not the first token."""
    fired = 0
    with torch.inference_mode():
        for prompt in prompts:
            out = model(torch.tensor([prompt.tokens]), output_attentions=True)
            fired += sum(int((layer[..., 1:] >= 0.5).sum()) for layer in out.attentions)
    return fired / len(prompts)


def forward(model: Model, config: Config, dataset: Dataset, logits: bool) -> None:
    """The bare forward pass in the dump's batches, with the logits of every token or with none."""
    prompts = sorted(dataset.prompts, key=lambda prompt: len(prompt.tokens))
    size = config.dump.batch_size
    keep = {} if logits else {"logits_to_keep": torch.zeros(0, dtype=torch.long)}
    with torch.inference_mode():
        for i in range(0, len(prompts), size):
            model.bridge(layout(prompts[i : i + size]).tokens, **keep)


def table(measured: dict[str, Any]) -> dict[str, str]:
    """What is worth reading: name to median and range."""
    phases: list[dict[str, float]] = measured["phases"]
    bare, hooks = measured["bare_with_logits"], measured["forward"]
    dumped = [p["contributions"] + p["waiting for the disk"] for p in phases]
    set_up = [p["load"] + p["decompose"] for p in phases]
    return {
        "prompts": f"{measured['prompts']}",
        "firing pairs a prompt": f"{measured['firing_pairs'] / measured['prompts']:.1f}",
        "stored pairs a prompt": f"{measured['pairs'] / measured['prompts']:.1f}",
        "upstream rows": f"{measured['upstream_rows']:,}",
        "bare forward pass, logits of every token": _spread(bare, "s"),
        "bare forward pass, no logits": _spread(hooks, "s"),
        "dump, after set-up": _spread(dumped, "s"),
        "dump / bare forward pass": _spread(_ratios(dumped, bare), ""),
        "dump / bare forward pass without logits": _spread(_ratios(dumped, hooks), ""),
        "set-up (load, fold, SVD of every head)": _spread(set_up, "s"),
        "set-up / bare forward pass": _spread(_ratios(set_up, bare), ""),
        "set-up, dump, checks: the whole stage": _spread(measured["stage"], "s"),
        "whole stage / bare forward pass": _spread(_ratios(measured["stage"], bare), ""),
        "trace at a new coverage": _spread(measured["coverage"], "s"),
        "graph at a new count threshold": _spread(measured["count"], "s"),
        **_intervention_rows(measured),
        "store": f"{measured['store_bytes'] / 1e6:.1f} MB",
        "peak memory": f"{measured['peak_bytes'] / 1e9:.2f} GB",
    }


def _intervention_rows(measured: dict[str, Any]) -> dict[str, str]:
    passes = [measured["prompts"] / spent for spent in measured["bare_with_logits"]]
    rows = {}
    for scope, rates in measured["changed_runs"].items():
        rows[f"interventions, {scope}"] = _spread(rates, "a second")
        rows[f"interventions, {scope} / forward passes"] = _spread(_ratios(rates, passes), "")
    return rows


def machine() -> dict[str, Any]:
    libraries = ("torch", "transformer_lens", "duckdb", "numpy")
    return {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in libraries},
    }


def timed(work: Callable[..., object], *args: Any, **named: Any) -> float:
    """Seconds that one call takes."""
    start = time.perf_counter()
    work(*args, **named)
    return time.perf_counter() - start


def _ratios(above: Sequence[float], below: Sequence[float]) -> list[float]:
    return [a / b for a, b in zip(above, below, strict=True)]


def _spread(values: Sequence[float], unit: str) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    return f"{middle:.2f} {unit} ({low:.2f} to {high:.2f})".replace("  ", " ")


def _one(con: duckdb.DuckDBPyConnection, query: str) -> Any:
    ((value,),) = con.execute(query).fetchall()
    return value


if __name__ == "__main__":
    main()
