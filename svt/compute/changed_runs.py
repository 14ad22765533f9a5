"""A batch of changed runs: one forward pass for every change.

1. The pass begins at the batch's layer. A clean pass of the same runs comes first, in the same
   shapes, so that differences are not due to rounding.
2. Global: the change is added to the output of the upstream layer's attention at the token, after
   its norm if there is one.
3. Local: the change, divided by the norm's scale at the token, is added to the downstream head's
   input there: to that of its query (dest) or key (src) alone, or of query, key and value
   (single_heads.py). With the base `live`, input, scale and o are those of the changed run, with
   `clean` those of the clean one. A global change is always computed from the changed run's o.
4. Measured are the scores and weights of the pairs, the changed vector and the residual stream at
   every edit, and logit difference and answer rank at the last token.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64, Int
from numpy.typing import NDArray
from torch import Tensor

from svt.compute.answers import has_logit_diff, token_sets
from svt.compute.attention import HeadVectors
from svt.compute.decompose import HeadSVD
from svt.compute.edits import Batch
from svt.compute.projection import Projection
from svt.compute.runner import Hook, Runner
from svt.compute.single_heads import HOOKS, PARTS, SingleHeads, head_weights
from svt.words import Base, Scope

Z, POST_SCALE, ADDED = "attn.hook_z", "ln1_post.hook_scale", "hook_attn_out"
X, SCALE = "ln1.hook_normalized", "ln1.hook_scale"


class Change(NamedTuple):
    """The strength and the slices of the change at every edit of a batch."""

    strength: float
    slices: Bool[Tensor, "edit slice"]  # whether a slice is in the span of the change


@dataclass
class Measurements:
    """The measurements of step 4; lists are by layer."""

    score: list[Float[Tensor, " pair"]] = field(default_factory=list)
    weight: list[Tensor] = field(default_factory=list)
    vector: list[Float[Tensor, "edit d_model"]] = field(default_factory=list)
    resid: list[Tensor] = field(default_factory=list)
    logit_diff: Float64[np.ndarray, " run"] = field(init=False)  # NaN: no answer or distractor
    answer_rank: Int[np.ndarray, " run"] = field(init=False)  # masked without an answer


class _Inputs(NamedTuple):
    """The inputs of heads at the edits of a layer."""

    resid: Float[Tensor, "edit d_model"]
    x: Tensor  # the same, normalised
    scale: Float[Tensor, "edit 1"]
    parts: tuple[Tensor, ...]  # query, key and value of the edit's head, [edit, r] each


class _Pass:
    """The state of one forward pass."""

    def __init__(self, change: Change | None, out: Tensor) -> None:
        self.change, self.measured = change, Measurements()
        self.out = out.clone()  # [edit, d_model], o of the upstream heads
        self.values: dict[str, Tensor] = {}  # of a block call, by hook
        self.cached: tuple[Tensor, Tensor] | None = None  # its keys and values

    def save(self, names: Iterable[str]) -> dict[str, Hook]:
        """Return hooks that save values of a block call."""
        return {name: partial(self.values.__setitem__, name) for name in names}

    def save_cached(self, keys: Tensor, values: Tensor) -> None:
        self.cached = keys, values


class ChangedRuns:
    """The runs of a batch; `before` are the measurements of the clean pass.

    first_of_pair: [pair], an edit of every pair that is changed in a run, in the order of the
    measurements. pair: [edit], the index of the edit's pair.
    """

    def __init__(
        self,
        runner: Runner,
        svd: HeadSVD,
        batch: Batch,
        scope: Scope,
        homogeneous: bool,
        base: Base,
    ) -> None:
        self._runner, self._batch, self._scope, self._base = runner, batch, scope, base
        keys = np.stack([batch.edits.layer, batch.row, batch.edits.pair_id])
        _, self.first_of_pair, self.pair = np.unique(
            keys, axis=1, return_index=True, return_inverse=True
        )
        self._clean: dict[int, _Inputs] = {}  # of the clean pass, by layer
        with torch.inference_mode():
            lengths = runner.layout.lengths[batch.prompt]
            self._window = runner.window(batch.prompt, int((lengths - batch.first).max()))
            n_slots = self._window.slot_token.shape[1]
            first_slot = (n_slots - lengths)[batch.row]  # [edit], of position 0
            first_place = first_slot - (n_slots - self._window.width)
            self._row, self._head = self._tensor(batch.row), self._tensor(batch.edits.head)
            self._place = self._tensor(batch.edits.token + first_place)  # [edit]
            self._dest = self._tensor(batch.edits.dest + first_place)
            self._src = self._tensor(batch.edits.src + first_slot)  # slot
            self._projection = Projection(runner, svd, batch, scope, homogeneous)
            self._out = self._projection.clean_outputs()
            self._resid = runner.residual(batch.layer, self._window)
        self.before = self.run(None)

    @torch.inference_mode()
    def run(self, change: Change | None) -> Measurements:
        """Run all runs with the change, or clean without one, and return the measurements."""
        state, resid = _Pass(change, self._out), self._resid
        run_layer = self._run_layer_global if self._scope == "global" else self._run_layer_local
        for layer in range(self._batch.layer, self._runner.model.n_layers):  # 1
            state.values.clear()
            resid = run_layer(layer, resid, state)
        self._measure_answer(resid, state.measured)
        return state.measured

    def _run_layer_global(self, layer: int, resid: Tensor, state: _Pass) -> Tensor:
        """Return the residual after a layer with changed attention output (step 2)."""
        edits, pairs = self._batch.at(layer), self._pairs_of(layer)
        names: list[str] = []
        hooks: dict[str, Hook] = {}
        if edits.start < edits.stop:
            names += [Z, POST_SCALE]
            hooks[ADDED] = lambda added: self._change_added(layer, resid, added, state)
        if len(pairs):
            names += [*HOOKS, "attn.hook_pattern"]
        on_cache = state.save_cached if len(pairs) else None
        hooks = state.save(names) | hooks
        after = self._runner.run_layer(layer, resid, self._window, hooks, on_cache)
        if len(pairs):
            self._measure_pairs(layer, pairs, state)
        return after

    def _change_added(
        self, layer: int, resid: Tensor, added: Float[Tensor, "run place d_model"], state: _Pass
    ) -> Float[Tensor, "run place d_model"] | None:
        """Return `added`, the output of attention, with the changes of the layer's edits."""
        edits, work = self._batch.at(layer), self._runner.model.work_dtype
        at = self._row[edits], self._place[edits]
        self._update_out(layer, state)
        vector, changed = added[at].to(work), None
        if state.change is not None:
            vector = vector + self._projection.compute_changes(layer, state.out, *state.change)
            changed = added.index_put(at, vector.to(added.dtype))
        state.measured.vector.append(vector)
        state.measured.resid.append(resid[at].to(work) + vector)
        return changed

    def _run_layer_local(self, layer: int, resid: Tensor, state: _Pass) -> Tensor:
        """Return the residual after a layer with changed inputs of single heads (step 3)."""
        edits = self._batch.at(layer)
        live = self._base == "live" and self._projection.is_upstream(layer)
        hooks = state.save((Z, POST_SCALE)) if live else {}
        on_cache = None
        if edits.start < edits.stop:
            hooks |= state.save((*HOOKS, X, SCALE))
            hooks[Z] = lambda z: self._change_heads(layer, resid, z, state)
            on_cache = state.save_cached
        after = self._runner.run_layer(layer, resid, self._window, hooks, on_cache)
        if live:
            self._update_out(layer, state)
        return after

    def _change_heads(
        self, layer: int, resid: Tensor, z: Float[Tensor, "run place head r"], state: _Pass
    ) -> Float[Tensor, "run place head r"]:
        """Return z with that of the heads whose input is changed."""
        assert state.cached is not None
        model, edits = self._runner.model, self._batch.at(layer)
        heads, entry = torch.stack([self._row[edits], self._head[edits]]).unique(
            dim=1, return_inverse=True
        )
        row, head = heads
        single = SingleHeads(model, layer, self._window, row, head, state.values, state.cached)
        self._change_inputs(layer, resid, single, entry, state)
        attention = single.attend()
        pairs = self._pairs_of(layer)
        at = entry[self._tensor(pairs) - edits.start], self._dest[pairs], self._src[pairs]
        state.measured.score.append(attention.scores[at])
        state.measured.weight.append(attention.weights[at])
        changed = z.clone()
        changed[row, :, head] = attention.z.to(z.dtype)
        state.values[Z] = changed
        return changed

    def _change_inputs(
        self,
        layer: int,
        resid: Tensor,
        single: SingleHeads,
        entry: Int[Tensor, " layer_edit"],
        state: _Pass,
    ) -> None:
        """Change the inputs of heads at a layer's edits; entry: index of their head in `single`."""
        edits, work = self._batch.at(layer), self._runner.model.work_dtype
        place, change = self._place[edits], state.change
        at = self._row[edits], place
        stream = resid[at].to(work)
        x, scale = (
            state.values[name][at].to(work) if name in state.values else None for name in (X, SCALE)
        )
        inputs = _Inputs(
            stream,
            stream if x is None else x,
            stream.new_ones(len(stream), 1) if scale is None else scale,
            tuple(part[entry, place] for part in single.parts),
        )
        if change is None:
            self._clean[layer] = inputs
            state.measured.vector.append(inputs.x)
            state.measured.resid.append(inputs.resid)
            return
        if self._base == "clean":
            inputs = self._clean[layer]
        added = self._projection.compute_changes(layer, state.out, *change)
        scaled = added / inputs.scale
        state.measured.vector.append(inputs.x + scaled)
        state.measured.resid.append(inputs.resid + added)
        for group in self._projection.groups[layer]:
            rows = change.slices[group.edits].any(1).nonzero()[:, 0]
            rows += group.edits.start - edits.start
            for part in range(3) if self._scope == "local_qkv" else (group.side,):
                w = head_weights(self._runner.model, layer, PARTS[part])
                w = w[group.head * len(w) // self._runner.model.n_heads]
                vectors = inputs.parts[part][rows] + scaled[rows] @ w
                single.parts[part][entry[rows], place[rows]] = vectors

    def _update_out(self, layer: int, state: _Pass) -> None:
        """Set o of the layer's upstream heads to that of this pass."""
        at, work = (self._row, self._place), self._runner.model.work_dtype
        z = state.values[Z][at].to(work)  # [edit, head, r]
        if POST_SCALE in state.values:
            z = z / state.values[POST_SCALE][at].to(work)[..., None]
        self._projection.update(state.out, layer, z)

    def _pairs_of(self, layer: int) -> NDArray[np.int64]:
        """Return the first edits of the pairs of a layer."""
        return self.first_of_pair[self._batch.edits.layer[self.first_of_pair] == layer]

    def _measure_pairs(self, layer: int, pairs: NDArray[np.int64], state: _Pass) -> None:
        """Measure the scores and weights of a layer's pairs after its block ran."""
        assert state.cached is not None
        model = self._runner.model
        row, head, dest, src = (
            index[pairs] for index in (self._row, self._head, self._dest, self._src)
        )
        queries = HeadVectors(model, layer, "q", state.values)
        q = queries.prepare(queries.raw[row, dest, head], row, head, dest)
        k = state.cached[0][row, head * model.n_key_heads // model.n_heads, src]
        state.measured.score.append(model.scoring[layer].scale * (q * k.to(q.dtype)).sum(-1))
        state.measured.weight.append(state.values["attn.hook_pattern"][row, head, dest, src])

    def _measure_answer(
        self, resid: Float[Tensor, "run place d_model"], measured: Measurements
    ) -> None:
        """Measure logit difference and answer rank; resid: after the last layer."""
        prompts = [self._runner.layout.prompts[i] for i in self._batch.prompt]
        answered = np.array([bool(prompt.answer) for prompt in prompts])
        compared = np.array([has_logit_diff(prompt) for prompt in prompts])
        measured.logit_diff = np.full(len(prompts), np.nan)
        measured.answer_rank = np.ma.array(np.zeros(len(prompts), np.int64), mask=~answered)
        if not answered.any():
            return
        logits = self._runner.model.logits(self._runner.normalise_end(resid))  # [run, vocabulary]
        answers, distractors = token_sets(prompts, resid.device)
        difference = answers.means(logits) - distractors.means(logits)
        rank = 1 + (logits > answers.best(logits)[:, None]).sum(1)
        measured.logit_diff[compared] = difference.double().cpu().numpy()[compared]
        measured.answer_rank[answered] = rank.cpu().numpy()[answered]

    def _tensor(self, values: NDArray[np.generic]) -> Tensor:
        return torch.as_tensor(values, device=self._runner.model.device)
