"""Edited runs of Hugging Face's own models, in float64 and without folding any weight.

An independent implementation of interventions for every family: only what a slice reads, and W_O as
it is folded, come from tests/slow_models.py; the model that runs is transformers' own code.

1. o is what the upstream head adds to the residual stream at the edit's token: its part of the
   output projection's input, less the value bias, through the folded W_O, over the scale of a norm
   behind attention.
2. h is the projection of [o; 1] (or [o; 0]) onto the span of what the slices of S read, without its
   last coordinate; where norms are LayerNorms, without its mean.
3. Global: strength * h is added to what the upstream layer's attention adds, behind such a norm.
4. Local: attention runs a second time for every downstream head. Its query, key or value is
   projected from a hidden state that has gain * strength * h / scale more, the scale being the
   norm's and kept as it was; all other heads project what they did. Of this second run only the
   head's own output goes on. QK-norm so sees the head's own changed vector, in OLMo 2 together with
   the unchanged ones of the other heads.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from tests.hf_models import double_precision
from tests.slow import Row
from tests.slow_models import SlowModel

Head = tuple[int, int]
PARTS = ("q_proj", "k_proj", "v_proj")


@dataclass
class Block:
    """The modules of one layer, by what they do."""

    whole: nn.Module
    pre_norm: Any  # None where attention reads the residual stream itself
    attention: nn.Module
    projections: tuple[nn.Module, nn.Module, nn.Module]  # of query, key and value, or one thrice
    columns: list[list[slice]]  # [part][head], the head's columns of its projection's output
    output: nn.Module
    adds: nn.Module  # whose output is what attention adds to the residual stream


@dataclass
class HFRun:
    """What one run saw."""

    resid: dict[int, Tensor] = field(default_factory=dict)  # layer: [position, d], before it
    hidden: dict[int, Tensor] = field(default_factory=dict)  # what its attention reads
    z: dict[int, Tensor] = field(default_factory=dict)  # [position, head x r]
    projected: dict[int, Tensor] = field(default_factory=dict)  # [position, d], before a norm
    scores: dict[Head, Tensor] = field(default_factory=dict)  # [dest, src], before a soft cap
    weights: dict[Head, Tensor] = field(default_factory=dict)
    logits: Tensor = field(default_factory=lambda: torch.zeros(0))  # [vocabulary], at the end


class HFIntervention:
    """A model, and one way to change its runs; the same interface as SlowIntervention.

    `model` is that of load_double; `slow` knows the slices and the folded weights of the same one.
    """

    def __init__(
        self,
        slow: SlowModel,
        model: PreTrainedModel,
        scope: str,
        strength: float,
        homogeneous: bool,
        base: str,
    ) -> None:
        self.slow, self.model = slow, model
        self.scope, self.strength = scope, strength
        self.homogeneous, self.base = homogeneous, base
        inner = self.model.base_model
        layers = inner.h if hasattr(inner, "h") else inner.layers
        self.blocks = [self._block(layer) for layer in layers]

    def effects(self, prompt: Any, edits: Sequence[Row]) -> list[Row]:
        """A row a pair of one changed run, by pair_id; edits without a slice are none.

        An edit has the keys layer, head, dest, src, side (0 or 1), up_layer, up_head, pair_id and
        slices. A row has n_slices, and logit_diff, score and weight before and `_after`.
        """
        tokens = prompt.tokens[: prompt.roles.get("end", len(prompt.tokens) - 1) + 1]
        active = [edit for edit in edits if len(edit["slices"])]
        before = self.run(tokens, [], None)
        after = self.run(tokens, active, before)
        rows = []
        for pair_id in sorted({edit["pair_id"] for edit in active}):
            edit = next(edit for edit in active if edit["pair_id"] == pair_id)
            head, at = (edit["layer"], edit["head"]), (edit["dest"], edit["src"])
            row: Row = {"pair_id": pair_id, "n_slices": len(edit["slices"])}
            for when, run in (("", before), ("_after", after)):
                row["score" + when] = float(run.scores[head][at])
                row["weight" + when] = float(run.weights[head][at])
                sides = [
                    run.logits[list(side)].mean() for side in (prompt.answer, prompt.distractor)
                ]
                both = prompt.answer and prompt.distractor
                row["logit_diff" + when] = float(sides[0] - sides[1]) if both else None
            rows.append(row)
        return rows

    def run(self, tokens: Sequence[int], edits: Sequence[Row], clean: HFRun | None) -> HFRun:
        """One forward pass with all edits; `clean` is the one without."""
        run, places = HFRun(), {block.attention: i for i, block in enumerate(self.blocks)}
        base = clean if self.base == "clean" and clean is not None else run
        with double_precision(), ExitStack() as stack:
            stack.enter_context(self._watch_scores(run, places))
            for layer, block in enumerate(self.blocks):
                for hook in self._watch(run, layer, block):
                    stack.callback(hook.remove)
                if self.scope == "global":
                    mine = [edit for edit in edits if edit["up_layer"] == layer]
                    add = block.adds.register_forward_hook(partial(self._add, run, mine))
                    stack.callback(add.remove)
                else:
                    mine = [edit for edit in edits if edit["layer"] == layer]
                    changed = partial(self._attend, run, base, layer, block.attention.forward, mine)
                    stack.enter_context(patch.object(block.attention, "forward", changed))
            out = self.model(torch.tensor([list(tokens)]), use_cache=False)
        run.logits = out.logits[0, -1]
        return run

    def h(self, run: HFRun, edit: Row) -> Tensor:
        """Steps 1 and 2, [d]."""
        layer, head, side = edit["layer"], edit["head"], edit["side"]
        up, m, slow = edit["up_layer"], position(edit), self.slow
        of = slow.layers[up]
        z = run.z[up][m].numpy().reshape(slow.n_heads, slow.r)[edit["up_head"]]
        o = (z - of.b_v[edit["up_head"]]) @ of.w_o[edit["up_head"]]
        if of.post_gain is not None:
            mean_square = float(run.projected[up][m].square().mean())
            o = o * of.post_gain / np.sqrt(mean_square + slow.eps)
        read = slow.directions(slow.decompose(layer, head), side, layer, m)
        basis, _ = np.linalg.qr(read[:, list(edit["slices"])])
        h = (basis @ (basis.T @ np.append(o, float(self.homogeneous))))[:-1]
        return torch.tensor(h - h.mean() if slow.centres else h)

    def _add(
        self, run: HFRun, edits: Sequence[Row], module: nn.Module, args: Any, output: Any
    ) -> Any:
        """Step 3, a forward hook."""
        added = (output[0] if isinstance(output, tuple) else output).clone()
        for edit in edits:
            added[0, position(edit)] += self.strength * self.h(run, edit)
        return (added, *output[1:]) if isinstance(output, tuple) else added

    def _attend(
        self,
        run: HFRun,
        base: HFRun,
        layer: int,
        forward: Any,
        edits: Sequence[Row],
        *args: Any,
        **kwargs: Any,
    ) -> Any:
        """Step 4, in the place of attention's forward."""
        hidden = args[0] if args else kwargs["hidden_states"]
        run.hidden[layer] = hidden[0]
        block, r, own = self.blocks[layer], self.slow.r, {}
        for head in sorted({edit["head"] for edit in edits}):
            mine = [edit for edit in edits if edit["head"] == head]
            with self._projecting(block, head, self._inputs(run, base, layer, mine)):
                forward(*args, **kwargs)
            columns = slice(head * r, (head + 1) * r)
            at = layer, head
            own[head] = columns, run.z[layer][:, columns], run.scores[at], run.weights[at]

        def replace(module: nn.Module, args: Any) -> Any:
            z = args[0].clone()
            for columns, changed, _, _ in own.values():
                z[0, :, columns] = changed
            run.z[layer] = z[0]
            return (z,)

        hook = block.output.register_forward_pre_hook(replace)
        output = forward(*args, **kwargs)
        hook.remove()
        for head, (_, _, scores, weights) in own.items():
            run.scores[layer, head], run.weights[layer, head] = scores, weights
        return output

    def _inputs(
        self, run: HFRun, base: HFRun, layer: int, edits: Sequence[Row]
    ) -> dict[int, Tensor]:
        """What a head's changed parts are projected from: part to [position, d]."""
        norm = self.blocks[layer].pre_norm
        gain = 1.0 if norm is None else norm.weight + self.slow.family.startswith("gemma")
        parts: dict[int, Tensor] = {}
        for edit in edits:
            for part in (0, 1, 2) if self.scope == "local_qkv" else (edit["side"],):
                own = parts.setdefault(part, run.hidden[layer].clone())
                own[position(edit)] = base.hidden[layer][position(edit)]
        for edit in edits:
            m = position(edit)
            change = gain * self.strength * self.h(base, edit) / self._scale(base.resid[layer][m])
            for part in (0, 1, 2) if self.scope == "local_qkv" else (edit["side"],):
                parts[part][m] += change
        return parts

    def _scale(self, resid: Tensor) -> float:
        """The pre-norm's scale of one token, [d]."""
        if not self.slow.pre_norm:
            return 1.0
        square = resid.var(correction=0) if self.slow.centres else resid.square().mean()
        return float((square + self.slow.eps).sqrt())

    @contextmanager
    def _projecting(self, block: Block, head: int, inputs: dict[int, Tensor]) -> Iterator[None]:
        """Let the parts of a head be projected from inputs of their own."""
        with ExitStack() as stack:
            for part, own in inputs.items():
                module, columns = block.projections[part], block.columns[part][head]

                def project(
                    module: nn.Module,
                    args: Any,
                    output: Tensor,
                    own: Tensor = own,
                    columns: slice = columns,
                ) -> Tensor:
                    output = output.clone()
                    output[..., columns] = type(module).forward(module, own[None])[..., columns]
                    return output

                stack.callback(module.register_forward_hook(project).remove)
            yield

    def _watch(self, run: HFRun, layer: int, block: Block) -> Iterator[Any]:
        """Hooks that keep what a layer reads, mixes and projects."""

        def keep(store: dict[int, Tensor], values: Sequence[Tensor]) -> None:
            store[layer] = values[0][0]

        yield block.whole.register_forward_pre_hook(lambda _, args: keep(run.resid, args))
        yield block.output.register_forward_pre_hook(lambda _, args: keep(run.z, args))
        yield block.output.register_forward_hook(lambda _, args, out: keep(run.projected, [out]))

    @contextmanager
    def _watch_scores(self, run: HFRun, places: dict[nn.Module, int]) -> Iterator[None]:
        """Keep scores and weights of every call of the function that attends."""
        first = self.blocks[0].attention
        owner: Any = sys.modules[type(first).__module__]
        name = "eager_attention_forward"
        if self.slow.family == "gpt_neo":
            owner, name = type(first), "_attn"
        original = getattr(owner, name)

        def attend(module: nn.Module, query: Tensor, key: Tensor, *args: Any, **kwargs: Any) -> Any:
            out, weights = original(module, query, key, *args, **kwargs)
            layer, group = places[module], query.shape[1] // key.shape[1]
            for head in range(query.shape[1]):
                score = query[0, head] @ key[0, head // group].T
                run.scores[layer, head] = self.slow.layers[layer].scale * score
                run.weights[layer, head] = weights[0, head]
            return out, weights

        with patch.object(owner, name, attend):
            yield

    def _block(self, layer: Any) -> Block:
        """The modules of a layer of any family."""
        family, r = self.slow.family, self.slow.r
        n_heads, n_key_heads = self.slow.n_heads, self.slow.n_key_heads
        starts = [
            [(head if part == 0 else head * n_key_heads // n_heads) * r for head in range(n_heads)]
            for part in range(3)
        ]
        pre = getattr(layer, "input_layernorm", None)
        if family == "gpt2":
            pre, attention, output = layer.ln_1, layer.attn, layer.attn.c_proj
            projections = [layer.attn.c_attn] * 3
            starts = [[part * self.slow.d_model + s for s in starts[part]] for part in range(3)]
        elif family == "gpt_neox":
            attention, output = layer.attention, layer.attention.dense
            projections = [attention.query_key_value] * 3
            starts = [[3 * s + part * r for s in starts[part]] for part in range(3)]
        elif family == "gpt_neo":
            pre, attention = layer.ln_1, layer.attn.attention
            output, projections = attention.out_proj, [getattr(attention, p) for p in PARTS]
        elif family == "phi3":
            attention, output = layer.self_attn, layer.self_attn.o_proj
            projections, before = [attention.qkv_proj] * 3, (0, n_heads, n_heads + n_key_heads)
            starts = [[before[part] * r + s for s in starts[part]] for part in range(3)]
        else:
            attention, output = layer.self_attn, layer.self_attn.o_proj
            projections = [getattr(attention, part) for part in PARTS]
        normed = self.slow.layers[0].post_gain is not None
        return Block(
            whole=layer,
            pre_norm=pre,
            attention=attention,
            projections=tuple(projections),
            columns=[[slice(start, start + r) for start in part] for part in starts],
            output=output,
            adds=layer.post_attention_layernorm if normed else attention,
        )


def position(edit: Row) -> int:
    """The changed position."""
    place: int = edit["src"] if edit["side"] else edit["dest"]
    return place
