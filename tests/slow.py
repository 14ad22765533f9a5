"""The dump once more, slowly: plain NumPy in float64, one pair and one component at a time.

Shares no code with svt.compute; the models and their slices are those of tests/slow_models.py.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tests.slow_models import Array, Decomposition, SlowModel, SlowRun, softmax

Row = dict[str, Any]


COMPONENT_ORDER = ("head", "mlp", "embed", "pos_embed", "bias")


def slow_dump(folder: Path, prompts: Sequence[Any], dump: Any) -> dict[str, list[Row]]:
    """Rows of pairs, slices, upstream, sides and head_effects, in the fast dump's order."""
    model = SlowModel(folder)
    tables: dict[str, list[Row]] = {
        name: [] for name in ("pairs", "slices", "upstream", "sides", "head_effects")
    }
    heads = {
        (layer, head): model.decompose(layer, head)
        for layer in range(model.n_layers)
        for head in range(model.n_heads)
    }
    for prompt in sorted(prompts, key=lambda p: p.prompt_id):
        end = prompt.roles.get("end", len(prompt.tokens) - 1)
        run = model.run(prompt.tokens[: end + 1])
        if prompt.answer and prompt.distractor:
            tables["head_effects"] += effects(model, run, prompt)
        for layer, head in heads:
            for dest in range(end + 1):
                for src in range(dest + 1):
                    if dest - src >= (model.layers[layer].window or model.n_ctx):
                        continue
                    at = (prompt.prompt_id, layer, head, dest, src)
                    pair_id = number(at, model)
                    weight = run.weights[layer][head][dest, src]
                    score = run.scores[layer][head][dest, src]
                    every = dump.pairs == "all" or dump.min_weight == 0
                    strong = weight >= dump.min_weight and (every or (score >= 0 and src > 0))
                    if not strong and not draw(pair_id, dump.seed) < dump.sample:
                        continue
                    pair(model, run, heads[layer, head], at, not strong, dump, tables)
    if not dump.all_slices:
        for row in tables["pairs"]:
            del row["dest_offset_all"], row["src_offset_all"]
        for table, column in (("upstream", "contribution_all"), ("sides", "total_all")):
            for row in tables[table]:
                row[column] = None
    return tables


def pair(
    model: SlowModel,
    run: SlowRun,
    of: Decomposition,
    at: tuple[int, int, int, int, int],
    sampled: bool,
    dump: Any,
    tables: dict[str, list[Row]],
) -> None:
    """Append all rows of one stored pair."""
    prompt_id, layer, head, dest, src = at
    pair_id, components = number(at, model), dump.components
    coordinates = [
        model.coordinates(of, side, layer, head, token, run)
        for side, token in enumerate((dest, src))
    ]
    products = coordinates[0] * coordinates[1]
    contribution = [float(np.float32(product)) for product in products]
    ranking, signal = signal_set(contribution)
    sign = [math.copysign(1, coordinate) for coordinate in coordinates[0]]
    row: Row = {
        "pair_id": pair_id,
        "prompt_id": prompt_id,
        "layer": layer,
        "head": head,
        "dest": dest,
        "src": src,
        "weight": run.weights[layer][head][dest, src],
        "score": run.scores[layer][head][dest, src],
        "omega_score": sum(contribution),
        "eligible": run.scores[layer][head][dest, src] >= 0 and src > 0,
        "sampled": sampled,
        "n_slices": len(signal),
        "dest_scale": run.read_scale(0, layer, head, dest),
        "src_scale": run.read_scale(1, layer, head, src),
    }
    tables["pairs"].append(row)
    for k in range(model.r):
        tables["slices"].append(
            {
                "pair_id": pair_id,
                "k": k,
                "contribution": contribution[k],
                "coordinates": products[k],
                "rank": ranking.index(k) + 1,
                "in_signal": k in signal,
            }
        )
    every = set(range(model.r))
    for side, (name, token) in enumerate((("dest", dest), ("src", src))):
        scale = row[f"{name}_scale"]
        directions = model.directions(of, side, layer, token)

        of_signal, of_all = (  # what the slices of a set read in a vector (d + 1)
            sum((sign[k] * directions[:, k] for k in chosen), np.zeros(model.d_model + 1)) / scale
            for chosen in (signal, every)
        )
        row[f"{name}_offset"], row[f"{name}_offset_all"] = of_signal[-1], of_all[-1]
        if sampled:
            continue
        rows = []
        for component in COMPONENT_ORDER:
            for (kind, up_layer, up_head), out in run.written.items():
                if kind != component or kind not in components:
                    continue
                if up_layer is not None and up_layer >= layer:
                    continue
                part = np.append(out[token], 0)
                rows.append(
                    {
                        "pair_id": pair_id,
                        "side": name,
                        "component": component,
                        "up_layer": up_layer,
                        "up_head": up_head,
                        "contribution": float(np.float32(of_signal @ part)),
                        "contribution_all": float(np.float32(of_all @ part)),
                        "weight_without": weight_without(
                            model, run, layer, head, (dest, src), side, out[token]
                        )
                        if dump.effects
                        else None,
                    }
                )
        by_head = [r for r in rows if r["component"] == "head"]
        tables["upstream"] += rows
        whole = of_signal @ np.append(run.resid[layer][token], 0)
        closure = sum(r["contribution"] for r in rows) - whole
        tables["sides"].append(
            {
                "pair_id": pair_id,
                "side": name,
                "total": sum(r["contribution"] for r in by_head),
                "total_all": sum(r["contribution_all"] for r in by_head),
                "n_heads": len(by_head),
                "closure": closure
                if {kind for kind, *_ in run.written} <= set(components)
                else None,
            }
        )


def weight_without(
    model: SlowModel,
    run: SlowRun,
    layer: int,
    head: int,
    tokens: tuple[int, int],
    side: int,
    out: Array,
) -> float:
    """The weight of a pair (dest, src) whose head reads no `out` [d] at the token of a side."""
    of, (dest, src), token = model.layers[layer], tokens, tokens[side]
    resid = run.resid[layer][token] - out
    x = model.normalised(resid)[0] if model.pre_norm else resid
    bare = (x @ of.w[side][head] + of.b[side][head])[None]
    n = model.qk_scale(layer, head, side, bare, run.x[layer][[token]])
    changed = model.rotation(layer, token) @ (bare * of.gain[side][head] / n)[0]
    score = run.scores[layer][head][dest, : dest + 1].copy()
    for other in range(dest + 1) if side == 0 else [dest]:
        vector = model.rotation(layer, other) @ run.vector(1 - side, layer, head, other)
        score[other if side == 0 else src] = of.scale * (changed @ vector)
    capped = of.cap * np.tanh(score / of.cap) if of.cap is not None else score
    visible = dest - np.arange(dest + 1) < (of.window or model.n_ctx)
    return float(softmax(np.where(visible, capped, -np.inf))[src])


def signal_set(contribution: Sequence[float]) -> tuple[list[int], set[int]]:
    """Slices in the order of their rank, and those of the signal."""
    magnitude = sum(abs(c) for c in contribution)
    values = [0.0 if abs(c) <= 1e-12 * magnitude else c for c in contribution]

    def walk(values: Sequence[float]) -> tuple[list[int], list[float]]:
        order = sorted(range(len(values)), key=lambda k: (-values[k], k))
        sums, total = [], 0.0
        for k in order:
            total += values[k]
            sums.append(total)
        return order, sums

    order, sums = walk(values)
    if sums[-1] < 0:
        order, sums = walk([-v for v in values])
    size = 0
    while (sums[size - 1] if size else 0.0) < sums[-1]:
        size += 1
    return order, set(order[:size])


def effects(model: SlowModel, run: SlowRun, prompt: Any) -> Iterator[Row]:
    """Rows of head_effects of one prompt."""
    answer, distractor = (
        np.mean([model.w_u[:, token] for token in tokens], axis=0)
        for tokens in (prompt.answer, prompt.distractor)
    )
    direction = answer - distractor
    for layer in range(model.n_layers):
        for head in range(model.n_heads):
            out = run.written["head", layer, head][-1]
            yield {
                "prompt_id": prompt.prompt_id,
                "layer": layer,
                "head": head,
                "logit_diff_effect": out @ direction / run.end_scale,
            }


def number(at: tuple[int, int, int, int, int], model: SlowModel) -> int:
    """pair_id."""
    prompt_id, layer, head, dest, src = at
    row = (prompt_id * model.n_layers + layer) * model.n_heads + head
    return (row * model.n_ctx + dest) * model.n_ctx + src


def draw(pair_id: int, seed: int) -> float:
    """The pair's number in [0, 1)."""
    return splitmix64(pair_id ^ splitmix64(seed)) / 2**64


def splitmix64(value: int) -> int:
    whole = 2**64
    value = (value + 0x9E3779B97F4A7C15) % whole
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9 % whole
    value = (value ^ (value >> 27)) * 0x94D049BB133111EB % whole
    return value ^ (value >> 31)
