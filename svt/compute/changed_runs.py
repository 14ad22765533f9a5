"""A batch of changed runs: one forward pass for every way to change them.

1. The pass begins at the batch's layer. The same runs without a change come first, in the same
   shapes, so that no difference is rounding.
2. Global: the change is added to what the upstream layer's attention adds to the residual stream
   at the token, behind a norm that stands there.
3. Local: the change, divided by the norm's scale there, is added to what the downstream head reads
   at the token. Its query (dest) or key (src) alone hears of it, or query, key and value
   (single_heads.py). With the base `live`, input, scale and o are those of the changed run, with
   `clean` those of the undisturbed one. A global change is always worked out from the changed
   run's o.
4. Kept are the scores and weights of the pairs, the changed vector and the residual stream at every
   edit, and what the last token says of the answer.
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

from svt.compute.answers import TokenSets
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
    """How every edit of a batch is changed."""

    strength: float
    slices: Bool[Tensor, "edit slice"]  # whether a slice is one of those that span the change


@dataclass
class Measurements:
    """Step 4, the lists by layer as the pass goes up."""

    score: list[Float[Tensor, " pair"]] = field(default_factory=list)
    weight: list[Tensor] = field(default_factory=list)
    vector: list[Float[Tensor, "edit d_model"]] = field(default_factory=list)
    resid: list[Tensor] = field(default_factory=list)
    logit_diff: Float64[np.ndarray, " run"] = field(init=False)  # NaN where not asked
    answer_rank: Int[np.ndarray, " run"] = field(init=False)  # masked without an answer


class _Read(NamedTuple):
    """What heads read at the edits of a layer."""

    resid: Float[Tensor, "edit d_model"]
    x: Tensor  # the same, normalised
    scale: Float[Tensor, "edit 1"]
    parts: tuple[Tensor, ...]  # query, key and value of the edit's head, [edit, r] each


class _Pass:
    """One forward pass on its way up."""

    def __init__(self, change: Change | None, out: Tensor) -> None:
        self.change, self.seen = change, Measurements()
        self.out = out.clone()  # [edit, d_model], what the upstream heads write
        self.values: dict[str, Tensor] = {}  # of a block call, by hook
        self.cached: tuple[Tensor, Tensor] | None = None  # its keys and values

    def keep(self, names: Iterable[str]) -> dict[str, Hook]:
        """Return hooks that keep values of a block call."""
        return {name: partial(self.values.__setitem__, name) for name in names}

    def keep_cached(self, keys: Tensor, values: Tensor) -> None:
        self.cached = keys, values


class ChangedRuns:
    """The runs of a batch. `before` is what is seen without a change.

    `first_of_pair` [pair] is an edit of every pair that is changed in a run, in the order of what
    is seen; `pair` [edit] is every edit's.
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
        self._clean: dict[int, _Read] = {}  # of each layer, what its edits read undisturbed
        with torch.inference_mode():
            lengths = runner.layout.lengths[batch.prompt]
            self._window = runner.window(batch.prompt, int((lengths - batch.first).max()))
            flush = (self._window.slot_token.shape[1] - lengths)[batch.row]  # slot of position 0
            before = self._window.slot_token.shape[1] - self._window.width
            self._row, self._head = self._tensor(batch.row), self._tensor(batch.edits.head)
            self._place = self._tensor(batch.edits.token + flush - before)  # [edit]
            self._dest = self._tensor(batch.edits.dest + flush - before)
            self._src = self._tensor(batch.edits.src + flush)  # slot
            self._projection = Projection(runner, svd, batch, scope, homogeneous)
            self._out = self._projection.undisturbed()
            self._resid = runner.residual(batch.layer, self._window)
        self.before = self.run(None)

    @torch.inference_mode()
    def run(self, change: Change | None) -> Measurements:
        """Return what is seen of one forward pass of all runs, changed or undisturbed."""
        up, resid = _Pass(change, self._out), self._resid
        through = self._through_global if self._scope == "global" else self._through_local
        for layer in range(self._batch.layer, self._runner.model.n_layers):  # 1
            up.values.clear()
            resid = through(layer, resid, up)
        self._see_answer(resid, up.seen)
        return up.seen

    def _through_global(self, layer: int, resid: Tensor, up: _Pass) -> Tensor:
        """Step 2: through a layer whose attention adds more."""
        mine, pairs = self._batch.at(layer), self._pairs_of(layer)
        names: list[str] = []
        hooks: dict[str, Hook] = {}
        if mine.start < mine.stop:
            names += [Z, POST_SCALE]
            hooks[ADDED] = lambda added: self._change_added(layer, resid, added, up)
        if len(pairs):
            names += [*HOOKS, "attn.hook_pattern"]
        look = up.keep_cached if len(pairs) else None
        hooks = up.keep(names) | hooks
        behind = self._runner.through(layer, resid, self._window, hooks, look)
        if len(pairs):
            self._see_pairs(layer, pairs, up)
        return behind

    def _change_added(
        self, layer: int, resid: Tensor, added: Float[Tensor, "run place d_model"], up: _Pass
    ) -> Float[Tensor, "run place d_model"] | None:
        """added: [run, place, d_model]; returns it with the changes of the layer's edits."""
        mine, work = self._batch.at(layer), self._runner.model.work_dtype
        at = self._row[mine], self._place[mine]
        self._update_out(layer, up)
        before, changed = added[at], None
        written = before.to(work)
        if up.change is not None:
            written = written + self._projection.changes(layer, up.out, *up.change)
            changed = added.index_put(at, written.to(added.dtype))
        up.seen.vector.append(written)
        up.seen.resid.append(resid[at].to(work) + written)
        return changed

    def _through_local(self, layer: int, resid: Tensor, up: _Pass) -> Tensor:
        """Step 3: through a layer of which single heads read something else."""
        mine = self._batch.at(layer)
        live = self._base == "live" and self._projection.writes(layer)
        hooks = up.keep((Z, POST_SCALE)) if live else {}
        look = None
        if mine.start < mine.stop:
            hooks |= up.keep((*HOOKS, X, SCALE))
            hooks[Z] = lambda z: self._change_heads(layer, resid, z, up)
            look = up.keep_cached
        behind = self._runner.through(layer, resid, self._window, hooks, look)
        if live:
            self._update_out(layer, up)
        return behind

    def _change_heads(
        self, layer: int, resid: Tensor, z: Float[Tensor, "run place head r"], up: _Pass
    ) -> Float[Tensor, "run place head r"]:
        """z: [run, place, head, r]; returns it with that of the edited heads."""
        assert up.cached is not None
        model, mine = self._runner.model, self._batch.at(layer)
        heads, entry = torch.stack([self._row[mine], self._head[mine]]).unique(
            dim=1, return_inverse=True
        )
        row, head = heads
        single = SingleHeads(model, layer, self._window, row, head, up.values, up.cached)
        self._change_read(layer, resid, single, entry, up)
        found = single.attend()
        pairs = self._pairs_of(layer)
        at = entry[self._tensor(pairs) - mine.start], self._dest[pairs], self._src[pairs]
        up.seen.score.append(found.scores[at])
        up.seen.weight.append(found.weights[at])
        changed = z.clone()
        changed[row, :, head] = found.z.to(z.dtype)
        up.values[Z] = changed
        return changed

    def _change_read(
        self,
        layer: int,
        resid: Tensor,
        single: SingleHeads,
        entry: Int[Tensor, " edit_there"],
        up: _Pass,
    ) -> None:
        """Change what the heads read at the edits; entry: [edit there], the edit's head."""
        mine, work = self._batch.at(layer), self._runner.model.work_dtype
        place, change = self._place[mine], up.change
        at = self._row[mine], place
        stream = resid[at].to(work)
        x, scale = (
            up.values[name][at].to(work) if name in up.values else None for name in (X, SCALE)
        )
        here = _Read(
            stream,
            stream if x is None else x,
            stream.new_ones(len(stream), 1) if scale is None else scale,
            tuple(part[entry, place] for part in single.parts),
        )
        if change is None:
            self._clean[layer] = here
            up.seen.vector.append(here.x)
            up.seen.resid.append(here.resid)
            return
        if self._base == "clean":
            here = self._clean[layer]
        added = self._projection.changes(layer, up.out, *change)
        scaled = added / here.scale
        up.seen.vector.append(here.x + scaled)
        up.seen.resid.append(here.resid + added)
        for group in self._projection.groups[layer]:
            some = change.slices[group.edits].any(1).nonzero()[:, 0]
            some += group.edits.start - mine.start
            for part in range(3) if self._scope == "local_qkv" else (group.side,):
                w = head_weights(self._runner.model, layer, PARTS[part])
                w = w[group.head * len(w) // self._runner.model.n_heads]
                heard = here.parts[part][some] + scaled[some] @ w
                single.parts[part][entry[some], place[some]] = heard

    def _update_out(self, layer: int, up: _Pass) -> None:
        """Take what the layer's heads write in this pass."""
        at, work = (self._row, self._place), self._runner.model.work_dtype
        z = up.values[Z][at].to(work)  # [edit, head, r]
        if POST_SCALE in up.values:
            z = z / up.values[POST_SCALE][at].to(work)[..., None]
        self._projection.update(up.out, layer, z)

    def _pairs_of(self, layer: int) -> NDArray[np.int64]:
        """Return the first edits of the pairs of a layer."""
        return self.first_of_pair[self._batch.edits.layer[self.first_of_pair] == layer]

    def _see_pairs(self, layer: int, pairs: NDArray[np.int64], up: _Pass) -> None:
        """See the scores and weights of a layer's pairs after its block ran."""
        assert up.cached is not None
        model = self._runner.model
        row, head, dest, src = (
            index[pairs] for index in (self._row, self._head, self._dest, self._src)
        )
        queries = HeadVectors(model, layer, "q", up.values)
        q = queries.prepared(queries.raw[row, dest, head], row, head, dest)
        k = up.cached[0][row, head * model.n_key_heads // model.n_heads, src]
        up.seen.score.append(model.scoring[layer].scale * (q * k.to(q.dtype)).sum(-1))
        up.seen.weight.append(up.values["attn.hook_pattern"][row, head, dest, src])

    def _see_answer(self, resid: Float[Tensor, "run place d_model"], seen: Measurements) -> None:
        """resid: [run, place, d_model], behind the last layer."""
        prompts = [self._runner.layout.prompts[i] for i in self._batch.prompt]
        answered = np.array([bool(prompt.answer) for prompt in prompts])
        asked = np.array([bool(prompt.distractor) for prompt in prompts]) & answered
        seen.logit_diff = np.full(len(prompts), np.nan)
        seen.answer_rank = np.ma.array(np.zeros(len(prompts), np.int64), mask=~answered)
        if not answered.any():
            return
        logits = self._runner.model.logits(self._runner.final(resid))  # [run, vocabulary]
        answers = TokenSets([prompt.answer for prompt in prompts], resid.device)
        distractors = TokenSets([prompt.distractor for prompt in prompts], resid.device)
        difference = answers.means(logits) - distractors.means(logits)
        rank = 1 + (logits > answers.best(logits)[:, None]).sum(1)
        seen.logit_diff[asked] = difference.double().cpu().numpy()[asked]
        seen.answer_rank[answered] = rank.cpu().numpy()[answered]

    def _tensor(self, values: NDArray[np.generic]) -> Tensor:
        return torch.as_tensor(values, device=self._runner.model.device)
