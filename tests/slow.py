"""The definitions once more, slowly: plain NumPy in float64, one pair and one component at a time.

Shares no code with svt.compute. It reads a GPT-2 checkpoint itself, folds it, runs it, builds
Omega whole and takes a full SVD of it.
"""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

Array = NDArray[np.float64]
Row = dict[str, Any]


class SlowModel:
    """A GPT-2 folded as TransformerLens folds it: LayerNorms into what reads, writers centred."""

    def __init__(self, folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        raw = {k: v.astype(np.float64) for k, v in load_file(folder / "model.safetensors").items()}
        raw = {k.removeprefix("transformer."): v for k, v in raw.items()}
        self.n_layers, self.n_heads = config["n_layer"], config["n_head"]
        self.d_model, self.n_ctx = config["n_embd"], config["n_positions"]
        self.r = self.d_model // self.n_heads
        self.eps = config["layer_norm_epsilon"]
        self.wte, self.wpe = centred(raw["wte.weight"]), centred(raw["wpe.weight"])
        self.layers = [self._layer(raw, f"h.{i}.") for i in range(self.n_layers)]
        unembed, gain, shift = raw["wte.weight"].T, raw["ln_f.weight"], raw["ln_f.bias"]
        self.w_u, self.b_u = reading(unembed, np.zeros(unembed.shape[1]), gain, shift)

    def _layer(self, raw: dict[str, Array], at: str) -> dict[str, Array]:
        norm = raw[at + "ln_1.weight"], raw[at + "ln_1.bias"]
        w, b = reading(raw[at + "attn.c_attn.weight"], raw[at + "attn.c_attn.bias"], *norm)
        w_in, b_in = reading(
            raw[at + "mlp.c_fc.weight"],
            raw[at + "mlp.c_fc.bias"],
            raw[at + "ln_2.weight"],
            raw[at + "ln_2.bias"],
        )
        d = self.d_model
        w_o = centred(raw[at + "attn.c_proj.weight"])
        b_o = centred(raw[at + "attn.c_proj.bias"]) + b[2 * d :] @ w_o
        return {
            "w_q": w[:, :d],
            "b_q": b[:d],
            "w_k": w[:, d : 2 * d],
            "b_k": b[d : 2 * d],
            "w_v": w[:, 2 * d :],
            "w_o": w_o,
            "b_o": b_o,
            "w_in": w_in,
            "b_in": b_in,
            "w_out": centred(raw[at + "mlp.c_proj.weight"]),
            "b_out": centred(raw[at + "mlp.c_proj.bias"]),
        }

    def head(self, matrix: Array, head: int) -> Array:
        """The columns of one head."""
        return matrix[..., head * self.r : (head + 1) * self.r]

    def omega(self, layer: int, head: int) -> Array:
        """(d + 1, d + 1)."""
        weights = self.layers[layer]
        q = np.vstack([self.head(weights["w_q"], head), self.head(weights["b_q"], head)])
        k = np.vstack([self.head(weights["w_k"], head), self.head(weights["b_k"], head)])
        return q @ k.T

    def run(self, tokens: Sequence[int]) -> "SlowRun":
        """One prompt through the model."""
        run = SlowRun([], [], [], [], {}, np.zeros(0), 0.0)
        embed, position = self.wte[list(tokens)], self.wpe[: len(tokens)]
        run.written["embed", None, None] = embed
        run.written["pos_embed", None, None] = position
        resid = embed + position
        causal = np.tril(np.ones((len(tokens), len(tokens)), bool))
        for layer, w in enumerate(self.layers):
            x, scale = self.normalised(resid)
            run.x.append(x)
            run.scale.append(scale)
            run.scores.append([])
            run.weights.append([])
            for head in range(self.n_heads):
                q = x @ self.head(w["w_q"], head) + self.head(w["b_q"], head)
                k = x @ self.head(w["w_k"], head) + self.head(w["b_k"], head)
                score = q @ k.T / math.sqrt(self.r)
                weight = softmax(np.where(causal, score, -np.inf))
                run.scores[-1].append(score)
                run.weights[-1].append(weight)
                z = weight @ (x @ self.head(w["w_v"], head))
                out = z @ w["w_o"][head * self.r : (head + 1) * self.r]
                run.written["head", layer, head] = out
                resid = resid + out
            bias = np.tile(w["b_o"], (len(tokens), 1))
            run.written["bias", layer, None] = bias
            resid = resid + bias
            x, _ = self.normalised(resid)
            mlp = gelu_new(x @ w["w_in"] + w["b_in"]) @ w["w_out"] + w["b_out"]
            run.written["mlp", layer, None] = mlp
            resid = resid + mlp
        x, scale = self.normalised(resid)
        run.logits = x[-1] @ self.w_u + self.b_u
        run.end_scale = float(scale[-1])
        return run

    def normalised(self, resid: Array) -> tuple[Array, Array]:
        """(x - mean) / scale and scale."""
        middle = resid - resid.mean(axis=1, keepdims=True)
        scale = np.sqrt((middle**2).mean(axis=1) + self.eps)
        return middle / scale[:, None], scale


@dataclass
class SlowRun:
    x: list[Array]  # [layer][position, d]
    scale: list[Array]  # [layer][position]
    scores: list[list[Array]]  # [layer][head][dest, src]
    weights: list[list[Array]]
    written: dict[
        tuple[str, int | None, int | None], Array
    ]  # (component, layer, head): [position, d]
    logits: Array  # [vocabulary], at the last token
    end_scale: float


COMPONENT_ORDER = ("head", "mlp", "embed", "pos_embed", "bias")


def slow_dump(folder: Path, prompts: Sequence[Any], dump: Any) -> dict[str, list[Row]]:
    """Rows of pairs, slices, upstream, sides and head_effects, in the fast dump's order."""
    model = SlowModel(folder)
    tables: dict[str, list[Row]] = {
        name: [] for name in ("pairs", "slices", "upstream", "sides", "head_effects")
    }
    svds = {
        (layer, head): np.linalg.svd(model.omega(layer, head))
        for layer in range(model.n_layers)
        for head in range(model.n_heads)
    }
    for prompt in sorted(prompts, key=lambda p: p.prompt_id):
        end = prompt.roles.get("end", len(prompt.tokens) - 1)
        run = model.run(prompt.tokens[: end + 1])
        if prompt.answer and prompt.distractor:
            tables["head_effects"] += effects(model, run, prompt)
        for layer, head in svds:
            for dest in range(end + 1):
                for src in range(dest + 1):
                    at = (prompt.prompt_id, layer, head, dest, src)
                    pair_id = number(at, model)
                    weight = run.weights[layer][head][dest, src]
                    score = run.scores[layer][head][dest, src]
                    every = dump.pairs == "all" or dump.min_weight == 0
                    strong = weight >= dump.min_weight and (every or (score >= 0 and src > 0))
                    if not strong and not draw(pair_id, dump.seed) < dump.sample:
                        continue
                    pair(model, run, svds[layer, head], at, not strong, dump.components, tables)
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
    svd: Any,
    at: tuple[int, int, int, int, int],
    sampled: bool,
    components: Sequence[str],
    tables: dict[str, list[Row]],
) -> None:
    """Appends all rows of one stored pair."""
    prompt_id, layer, head, dest, src = at
    pair_id = number(at, model)
    u, sigma, v = svd[0][:, : model.r].T, svd[1][: model.r], svd[2][: model.r]
    x_dest, x_src = np.append(run.x[layer][dest], 1), np.append(run.x[layer][src], 1)
    contribution = [
        float(np.float32((x_dest @ u[k]) * sigma[k] * (v[k] @ x_src))) for k in range(model.r)
    ]
    ranking, signal = signal_set(contribution)
    sign = [math.copysign(1, x_dest @ u[k]) for k in range(model.r)]
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
        "dest_scale": run.scale[layer][dest],
        "src_scale": run.scale[layer][src],
    }
    tables["pairs"].append(row)
    for k in range(model.r):
        tables["slices"].append(
            {
                "pair_id": pair_id,
                "k": k,
                "contribution": contribution[k],
                "coordinates": (x_dest @ u[k]) * (v[k] @ x_src) * sigma[k],
                "rank": ranking.index(k) + 1,
                "in_signal": k in signal,
            }
        )
    for side, token, w in (("dest", dest, u), ("src", src, v)):
        scale = run.scale[layer][token]
        for name, chosen in (("", signal), ("_all", set(range(model.r)))):
            row[f"{side}_offset{name}"] = (
                sum(sign[k] * math.sqrt(sigma[k]) * w[k][-1] for k in chosen) / scale
            )
        if sampled:
            continue

        def read(vector: Array, chosen: set[int], w: Any = w, scale: float = scale) -> float:
            return sum(sign[k] * math.sqrt(sigma[k]) * (w[k][:-1] @ vector) for k in chosen) / scale

        rows = []
        for component in COMPONENT_ORDER:
            for (kind, up_layer, up_head), out in run.written.items():
                if kind != component or kind not in components:
                    continue
                if up_layer is not None and up_layer >= layer:
                    continue
                rows.append(
                    {
                        "pair_id": pair_id,
                        "side": side,
                        "component": component,
                        "up_layer": up_layer,
                        "up_head": up_head,
                        "contribution": float(np.float32(read(out[token], signal))),
                        "contribution_all": float(
                            np.float32(read(out[token], set(range(model.r))))
                        ),
                        "weight_without": None,
                    }
                )
        heads = [r for r in rows if r["component"] == "head"]
        tables["upstream"] += rows
        whole = read(run.x[layer][token] * scale, signal)
        closure = sum(r["contribution"] for r in rows) - whole
        tables["sides"].append(
            {
                "pair_id": pair_id,
                "side": side,
                "total": sum(r["contribution"] for r in heads),
                "total_all": sum(r["contribution_all"] for r in heads),
                "n_heads": len(heads),
                "closure": closure if set(components) == set(COMPONENT_ORDER) else None,
            }
        )


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


def centred(rows: Array) -> Array:
    """What is written into the residual stream, without its mean."""
    return rows - rows.mean(axis=-1, keepdims=True)


def reading(w: Array, b: Array, gain: Array, shift: Array) -> tuple[Array, Array]:
    """Weights that read a LayerNorm's output, as readers of the bare normalised residual."""
    folded = gain[:, None] * w
    return folded - folded.mean(axis=0), b + shift @ w


def softmax(scores: Array) -> Array:
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def gelu_new(x: Array) -> Array:
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
