"""Every verified model family once more, slowly: plain NumPy in float64, head by head.

Shares no code with svt.compute and none with transformers: it reads config.json and the weights
itself.

1. A norm's weights are folded into what reads it. Of a LayerNorm, what writes into the residual
   stream is centred as well; value biases are folded into b_O.
2. A head's query and key are q = Q~^T x~ and k = K~^T x~, with x~ = [x; 1], Q~ = [W_Q; b_Q^T] and
   K~ = [W_K; b_K^T], (d + 1, r) each, times the weights of QK-norm.
3. QK-norm divides them by n, the root mean square before its weights: of the head's own vector or,
   in OLMo 2, of those of all heads together.
4. R_p rotates them by position, an r x r matrix.
5. The score is s (R_i q_i / n_i) . (R_j k_j / n_j). The softmax sees it capped, and masked.
6. What a block adds to the residual stream is its output, or in Gemma and OLMo 2 a norm of it.
"""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file

Array = NDArray[np.float64]
Writer = tuple[str, int | None, int | None]  # component, layer, head
LAYER_NORMS = ("gpt2", "gpt_neo", "gpt_neox")


class Linear(NamedTuple):
    """y = x @ w + b."""

    w: Array  # [in, out]
    b: Array  # [out]


class Norm(NamedTuple):
    """What follows the division by the scale."""

    gain: Array  # [d]
    shift: Array  # [d]


class Decomposition(NamedTuple):
    """The slices of one head. `side` is 0 for queries, 1 for keys."""

    factors: tuple[Array, Array]  # Q~ and K~
    g: tuple[Array, Array]  # G_Q and G_K, [slice, r]
    sigma: Array


@dataclass
class Layer:
    """Weights of one layer, folded; those of heads by head, also where heads share them."""

    w: tuple[Array, Array, Array]  # W_Q, W_K, W_V: [head, d, r], without the weights of QK-norm
    b: tuple[Array, Array]  # b_Q, b_K: [head, r]
    gain: tuple[Array, Array]  # of QK-norm, [head, r]
    w_o: Array  # [head, r, d]
    b_v: Array  # [head, r], which b_O holds as well
    b_o: Array  # [d]
    post_gain: Array | None  # of a norm behind attention
    mlp: Callable[[Array], Array]  # from the residual stream to what is added to it
    scale: float  # s
    cap: float | None
    window: int | None
    frequencies: Array  # of the rotation, half as many as dimensions are rotated


@dataclass
class SlowRun:
    """One prompt through the model."""

    resid: list[Array] = field(default_factory=list)  # [layer][position, d], before each layer
    x: list[Array] = field(default_factory=list)  # the same, normalised
    scale: list[Array] = field(default_factory=list)  # [layer][position]
    q: list[list[Array]] = field(default_factory=list)  # [layer][head][position, r], step 2
    k: list[list[Array]] = field(default_factory=list)
    n_q: list[list[Array]] = field(default_factory=list)  # [layer][head][position], step 3
    n_k: list[list[Array]] = field(default_factory=list)
    scores: list[list[Array]] = field(default_factory=list)  # [layer][head][dest, src], uncapped
    weights: list[list[Array]] = field(default_factory=list)
    attended: list[Array] = field(default_factory=list)  # what each attention adds
    written: dict[Writer, Array] = field(default_factory=dict)  # [position, d], step 6
    logits: Array = field(default_factory=lambda: np.zeros(0))  # [position, vocabulary]
    end_scale: float = 0.0

    def vector(self, side: int, layer: int, head: int, token: int) -> Array:
        """q (side 0) or k (side 1) over n."""
        of, n = ((self.q, self.n_q), (self.k, self.n_k))[side]
        return of[layer][head][token] / n[layer][head][token]

    def read_scale(self, side: int, layer: int, head: int, token: int) -> float:
        """What a reading of the residual stream is divided by: the norm's scale times n."""
        n = (self.n_q, self.n_k)[side]
        return float(self.scale[layer][token] * n[layer][head][token])


Reads = Callable[[SlowRun, int, int], Sequence[Array]]
Writes = Callable[[SlowRun, int, Array], Array]


class SlowModel:
    """A checkpoint of any family, folded."""

    def __init__(self, folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text())
        stored = load_file(folder / "model.safetensors")
        raw = {_short(name): value.astype(np.float64) for name, value in stored.items()}
        self.family: str = config["model_type"]
        self.centres = self.family in LAYER_NORMS
        self.n_layers, self.n_heads, self.d_model, self.n_ctx = (
            _first(config, *names)
            for names in (
                ("num_hidden_layers", "n_layer", "num_layers"),
                ("num_attention_heads", "n_head", "num_heads"),
                ("hidden_size", "n_embd"),
                ("max_position_embeddings", "n_positions"),
            )
        )
        self.n_key_heads = config.get("num_key_value_heads") or self.n_heads
        self.r = config.get("head_dim") or self.d_model // self.n_heads
        self.eps = _first(config, "rms_norm_eps", "layer_norm_eps", "layer_norm_epsilon")
        self.pre_norm = self.family != "olmo2"
        self.norms_all_heads = self.family == "olmo2"
        self.parallel = self.family == "gpt_neox" and config["use_parallel_residual"]
        embed = _first(raw, "wte.weight", "embed_in.weight", "embed_tokens.weight")
        self.embed = self._centred(embed * self.d_model ** (0.5 if self._gemma else 0.0))
        self.pos_embed = self._centred(raw["wpe.weight"]) if "wpe.weight" in raw else None
        self.logit_cap = config.get("final_logit_softcapping")
        self.has_biases = self.qk_norm = False
        self._decomposed: dict[tuple[int, int], Decomposition] = {}
        self._undisturbed: dict[tuple[int, ...], SlowRun] = {}
        self._rotations: dict[tuple[int, int], Array] = {}
        self.layers = [self._layer(raw, config, layer) for layer in range(self.n_layers)]
        unembed = raw.get("lm_head.weight", raw.get("embed_out.weight", embed)).T
        last = {"gpt_neox": "final_layer_norm"}.get(self.family, "ln_f" if self.centres else "norm")
        bare = Linear(unembed, np.zeros(unembed.shape[1]))
        self.w_u, self.b_u = self._reading(bare, self._norm(raw, last))

    def decompose(self, layer: int, head: int) -> Decomposition:
        """The full SVD of Omega = Q~ K~^T, (d + 1, d + 1), and coordinates by pseudo-inverses."""
        if (layer, head) not in self._decomposed:
            self._decomposed[layer, head] = self._decompose(layer, head)
        return self._decomposed[layer, head]

    def _decompose(self, layer: int, head: int) -> Decomposition:
        factors = self.factor(0, layer, head), self.factor(1, layer, head)
        u, sigma, vt = np.linalg.svd(factors[0] @ factors[1].T)
        root = np.sqrt(sigma[: self.r, None])
        g_q, g_k = (
            root * basis[:, : self.r].T @ np.linalg.pinv(factor).T
            for basis, factor in zip((u, vt.T), factors, strict=True)
        )
        return Decomposition(factors, (g_q, g_k), sigma[: self.r])

    def factor(self, side: int, layer: int, head: int) -> Array:
        """Q~ (side 0) or K~ (side 1), (d + 1, r)."""
        of = self.layers[layer]
        return np.vstack([of.w[side][head], of.b[side][head]]) * of.gain[side][head]

    def omega(self, layer: int, head: int) -> Array:
        """(d + 1, d + 1)."""
        return self.factor(0, layer, head) @ self.factor(1, layer, head).T

    def directions(self, of: Decomposition, side: int, layer: int, token: int) -> Array:
        """What the slices read at a token: p_k for every k, (d + 1, slice)."""
        return of.factors[side] @ self.rotation(layer, token).T @ of.g[side].T

    def coordinates(
        self, of: Decomposition, side: int, layer: int, head: int, token: int, run: SlowRun
    ) -> Array:
        """dest_coord (side 0) or src_coord (side 1), [slice]."""
        return of.g[side] @ self.rotation(layer, token) @ run.vector(side, layer, head, token)

    def rotation(self, layer: int, position: int) -> Array:
        """R_p, (r, r): each of the first dimensions is turned with one half a width further."""
        if (layer, position) not in self._rotations:
            self._rotations[layer, position] = self._rotate(layer, position)
        return self._rotations[layer, position]

    def _rotate(self, layer: int, position: int) -> Array:
        matrix = np.eye(self.r)
        frequencies = self.layers[layer].frequencies
        for i, frequency in enumerate(frequencies):
            j, angle = i + len(frequencies), position * frequency
            matrix[[i, j], [i, j]] = math.cos(angle)
            matrix[i, j], matrix[j, i] = -math.sin(angle), math.sin(angle)
        return matrix

    def run(
        self, tokens: Sequence[int], reads: Reads | None = None, writes: Writes | None = None
    ) -> SlowRun:
        """One prompt through the model.

        reads(run, layer, head) gives the inputs of its query, key and value, [position, d] each;
        writes(run, layer, attended) what the layer's attention adds instead.
        """
        if reads or writes:
            return self._run(tokens, reads, writes)
        if tuple(tokens) not in self._undisturbed:
            self._undisturbed[tuple(tokens)] = self._run(tokens, None, None)
        return self._undisturbed[tuple(tokens)]

    def _run(self, tokens: Sequence[int], reads: Reads | None, writes: Writes | None) -> SlowRun:
        run, n = SlowRun(), len(tokens)
        run.written["embed", None, None] = resid = self.embed[list(tokens)]
        if self.pos_embed is not None:
            run.written["pos_embed", None, None] = self.pos_embed[:n]
            resid = resid + self.pos_embed[:n]
        for index, layer in enumerate(self.layers):
            x, scale = self.normalised(resid) if self.pre_norm else (resid, np.ones(n))
            for kept, value in ((run.resid, resid), (run.x, x), (run.scale, scale)):
                kept.append(value)
            for kept_by_head in (run.q, run.k, run.n_q, run.n_k, run.scores, run.weights):
                kept_by_head.append([])
            outs = [
                self._attend(run, index, head, reads(run, index, head) if reads else (x, x, x))
                for head in range(self.n_heads)
            ]
            added = self._behind(np.array([*outs, np.tile(layer.b_o, (n, 1))]), layer.post_gain)
            for head in range(self.n_heads):
                run.written["head", index, head] = added[head]
            if self.has_biases:
                run.written["bias", index, None] = added[-1]
            attended = added.sum(axis=0)
            if writes is not None:
                attended = writes(run, index, attended)
            run.attended.append(attended)
            mlp = layer.mlp(resid if self.parallel else resid + attended)
            run.written["mlp", index, None] = mlp
            resid = resid + attended + mlp
        x, scale = self.normalised(resid)
        run.logits = x @ self.w_u + self.b_u
        if self.logit_cap is not None:
            run.logits = self.logit_cap * np.tanh(run.logits / self.logit_cap)
        run.end_scale = float(scale[-1])
        return run

    def normalised(self, resid: Array) -> tuple[Array, Array]:
        """The residual stream over its scale, centred by a LayerNorm, and the scale."""
        middle = resid - resid.mean(axis=-1, keepdims=True) if self.centres else resid
        scale = np.sqrt((middle**2).mean(axis=-1) + self.eps)
        return middle / scale[..., None], scale

    def _attend(self, run: SlowRun, layer: int, head: int, inputs: Sequence[Array]) -> Array:
        """Steps 2 to 5: what a head makes of its inputs, [position, d], before step 6."""
        of, n = self.layers[layer], len(inputs[0])
        ready = []
        for side, (vectors, norms) in enumerate(((run.q, run.n_q), (run.k, run.n_k))):
            bare = inputs[side] @ of.w[side][head] + of.b[side][head]
            vectors[layer].append(bare * of.gain[side][head])
            norms[layer].append(self.qk_scale(layer, head, side, bare, run.x[layer]))
            rotated = [self.rotation(layer, t) @ run.vector(side, layer, head, t) for t in range(n)]
            ready.append(np.array(rotated))
        score = of.scale * ready[0] @ ready[1].T
        distance = np.arange(n)[:, None] - np.arange(n)
        visible = (distance >= 0) & (distance < (of.window or n))
        capped = of.cap * np.tanh(score / of.cap) if of.cap is not None else score
        weight = softmax(np.where(visible, capped, -np.inf))
        run.scores[layer].append(score)
        run.weights[layer].append(weight)
        out: Array = weight @ inputs[2] @ of.w[2][head] @ of.w_o[head]
        return out

    def qk_scale(self, layer: int, head: int, side: int, bare: Array, x: Array) -> Array:
        """Step 3: n of a head's vectors [position, r]; other heads read x, [position, d]."""
        if not self.qk_norm:
            return np.ones(len(bare))
        of, together = self.layers[layer], [bare]
        if self.norms_all_heads:
            shared = 1 if side == 0 else self.n_heads // self.n_key_heads
            together += [
                x @ of.w[side][other] + of.b[side][other]
                for other in range(0, self.n_heads, shared)
                if other // shared != head // shared
            ]
        return np.sqrt((np.hstack(together) ** 2).mean(axis=1) + self.eps)

    def _behind(self, parts: Array, gain: Array | None) -> Array:
        """Step 6: what parts [part, position, d] of a block's output add to the residual stream."""
        if gain is None:
            return parts
        scale = np.sqrt((parts.sum(axis=0) ** 2).mean(axis=-1) + self.eps)
        return parts * gain / scale[:, None]

    @property
    def _gemma(self) -> bool:
        return self.family.startswith("gemma")

    def _layer(self, raw: Mapping[str, Array], config: Mapping[str, Any], index: int) -> Layer:
        at = f"h.{index}." if self.family in ("gpt2", "gpt_neo") else f"layers.{index}."
        raw = {name.removeprefix(at): value for name, value in raw.items() if name.startswith(at)}
        q, k, v, o = self._attention(raw)
        post, pre_mlp, post_mlp = self._block_norms(raw)
        before = self._norm(raw, "ln_1" if "ln_1.weight" in raw else "input_layernorm")
        q, k, v = (self._reading(part, before) for part in (q, k, v))
        w_q, w_k, w_v = (self._by_head(part.w) for part in (q, k, v))
        w_o = self._centred(o.w).reshape(self.n_heads, self.r, -1)
        b_v = self._by_head(v.b)
        b_o = self._centred(o.b) + np.einsum("hr,hrd->d", b_v, w_o)
        self.has_biases |= bool(b_o.any())
        gains = [self._norm(raw, f"self_attn.{part}_norm") for part in "qk"]
        self.qk_norm = gains[0] is not None
        rope = config.get("rope_parameters") or {}
        kind = (config.get("layer_types") or [None] * self.n_layers)[index]
        return Layer(
            w=(w_q, w_k, w_v),
            b=(self._by_head(q.b), self._by_head(k.b)),
            gain=(self._qk_gain(gains[0]), self._qk_gain(gains[1])),
            w_o=w_o,
            b_v=b_v,
            b_o=b_o,
            post_gain=post.gain if post else None,
            mlp=self._mlp(raw, config, pre_mlp, post_mlp),
            scale=self._scale(config),
            cap=config.get("attn_logit_softcapping"),
            window=_window(config, index, kind),
            frequencies=frequencies(rope.get(kind, rope), self.r),
        )

    def _attention(self, raw: Mapping[str, Array]) -> tuple[Linear, Linear, Linear, Linear]:
        """Query, key, value and output, as they are stored."""
        d, r = self.d_model, self.r
        if self.family == "gpt2":
            w, b = raw["attn.c_attn.weight"], raw["attn.c_attn.bias"]
            q, k, v = (Linear(w[:, i : i + d], b[i : i + d]) for i in (0, d, 2 * d))
            return q, k, v, Linear(raw["attn.c_proj.weight"], raw["attn.c_proj.bias"])
        if self.family == "gpt_neox":  # query, key and value of each head in turn
            w, b = _linear(raw, "attention.query_key_value")
            rows = np.arange(3 * d).reshape(self.n_heads, 3, r)
            q, k, v = (Linear(w[:, rows[:, i].ravel()], b[rows[:, i].ravel()]) for i in range(3))
            return q, k, v, _linear(raw, "attention.dense")
        if self.family == "phi3":
            w, b = _linear(raw, "self_attn.qkv_proj")
            ends = np.cumsum([self.n_heads * r, self.n_key_heads * r])
            parts = zip(np.split(w, ends, axis=1), np.split(b, ends), strict=True)
            q, k, v = (Linear(*part) for part in parts)
            return q, k, v, _linear(raw, "self_attn.o_proj")
        at, out = "self_attn.", "o_proj"
        if self.family == "gpt_neo":
            at, out = "attn.attention.", "out_proj"
        q, k, v, o = (_linear(raw, at + name) for name in ("q_proj", "k_proj", "v_proj", out))
        return q, k, v, o

    def _block_norms(
        self, raw: Mapping[str, Array]
    ) -> tuple[Norm | None, Norm | None, Norm | None]:
        """The norms behind attention, before the MLP and behind it."""
        if self._gemma or self.family == "olmo2":
            names = "post_attention_layernorm", "pre_feedforward_layernorm"
            post, before = (self._norm(raw, name) for name in names)
            return post, before, self._norm(raw, "post_feedforward_layernorm")
        name = "ln_2" if "ln_2.weight" in raw else "post_attention_layernorm"
        return None, self._norm(raw, name), None

    def _mlp(
        self,
        raw: Mapping[str, Array],
        config: Mapping[str, Any],
        before: Norm | None,
        behind: Norm | None,
    ) -> Callable[[Array], Array]:
        act = ACTIVATIONS[_first(config, "hidden_activation", "hidden_act", "activation_function")]
        gate = None
        if self.family == "gpt2":
            into, out = (
                Linear(raw[f"mlp.{name}.weight"], raw[f"mlp.{name}.bias"])
                for name in ("c_fc", "c_proj")
            )
        elif self.centres:
            names = {"gpt_neo": ("c_fc", "c_proj"), "gpt_neox": ("dense_h_to_4h", "dense_4h_to_h")}
            into, out = (_linear(raw, f"mlp.{name}") for name in names[self.family])
        elif self.family == "phi3":
            w, b = _linear(raw, "mlp.gate_up_proj")
            half = len(b) // 2
            gate, into = Linear(w[:, :half], b[:half]), Linear(w[:, half:], b[half:])
            out = _linear(raw, "mlp.down_proj")
        else:
            gate, into, out = (_linear(raw, f"mlp.{name}_proj") for name in ("gate", "up", "down"))
        into = self._reading(into, before)
        gate = None if gate is None else self._reading(gate, before)
        w_out, b_out = self._centred(out.w), self._centred(out.b)

        def mlp(resid: Array) -> Array:
            x = resid if before is None else self.normalised(resid)[0]
            inner = x @ into.w + into.b
            inner = act(inner) if gate is None else act(x @ gate.w + gate.b) * inner
            added = self._behind((inner @ w_out + b_out)[None], behind.gain if behind else None)
            return added[0]

        return mlp

    def _scale(self, config: Mapping[str, Any]) -> float:
        if self.family == "gpt_neo":
            return 1.0
        return float(config.get("query_pre_attn_scalar") or self.r) ** -0.5

    def _norm(self, raw: Mapping[str, Array], name: str) -> Norm | None:
        weight = raw.get(name + ".weight")
        if weight is None:
            return None
        return Norm(weight + self._gemma, raw.get(name + ".bias", np.zeros(len(weight))))

    def _qk_gain(self, norm: Norm | None) -> Array:
        if norm is None:
            return np.ones((self.n_heads, self.r))
        if self.norms_all_heads:
            return self._by_head(norm.gain)
        return np.tile(norm.gain, (self.n_heads, 1))

    def _by_head(self, columns: Array) -> Array:
        """[..., heads or key heads x r] as [head, ..., r]."""
        parts = columns.reshape(*columns.shape[:-1], -1, self.r)
        parts = np.repeat(parts, self.n_heads // parts.shape[-2], axis=-2)
        return np.moveaxis(parts, -2, 0)

    def _centred(self, rows: Array) -> Array:
        """What is written into the residual stream, without its mean where norms take it away."""
        return rows - rows.mean(axis=-1, keepdims=True) if self.centres else rows

    def _reading(self, part: Linear, norm: Norm | None) -> Linear:
        """Weights that read a norm's output, as readers of the bare normalised residual."""
        if norm is None:
            return part
        folded = norm.gain[:, None] * part.w
        centred = folded - folded.mean(axis=0) if self.centres else folded
        return Linear(centred, part.b + norm.shift @ part.w)


def frequencies(rope: Mapping[str, Any], r: int) -> Array:
    """The angles a position turns by; none without rotary positions."""
    if not rope:
        return np.zeros(0)
    width = int(r * rope.get("partial_rotary_factor", 1.0))
    plain = rope["rope_theta"] ** (-np.arange(0, width, 2) / width)
    kind = rope["rope_type"]
    if kind == "default":
        return plain
    if kind == "linear":
        return plain / rope["factor"]
    assert kind == "llama3", kind
    low, high = rope["low_freq_factor"], rope["high_freq_factor"]
    turns = rope["original_max_position_embeddings"] * plain / (2 * math.pi)
    smooth = np.clip((turns - low) / (high - low), 0, 1)  # 0: slowed by the factor, 1: as it was
    return (1 - smooth) * plain / rope["factor"] + smooth * plain


def _window(config: Mapping[str, Any], index: int, kind: str | None) -> int | None:
    """How many positions a token attends to, itself among them; None: all before."""
    if config["model_type"] == "gpt_neo":
        kinds = [k for names, times in config["attention_types"] for k in names * times]
        return config["window_size"] if kinds[index] == "local" else None
    return config.get("sliding_window") if kind in (None, "sliding_attention") else None


def _linear(raw: Mapping[str, Array], name: str) -> Linear:
    """A torch Linear, stored [out, in]."""
    w = raw[name + ".weight"].T
    return Linear(w, raw.get(name + ".bias", np.zeros(w.shape[1])))


def _short(name: str) -> str:
    """A tensor's name without that of the model it stands in."""
    head, _, rest = name.partition(".")
    return rest if head in ("transformer", "gpt_neox", "model") else name


def _first(values: Mapping[str, Any], *names: str) -> Any:
    return next(values[name] for name in names if values.get(name) is not None)


def softmax(scores: Array) -> Array:
    powers = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def gelu_new(x: Array) -> Array:
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def gelu(x: Array) -> Array:
    return 0.5 * x * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))


def silu(x: Array) -> Array:
    return x / (1 + np.exp(-x))


ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu_new": gelu_new,
    "gelu_pytorch_tanh": gelu_new,
    "gelu": gelu,
    "silu": silu,
}
