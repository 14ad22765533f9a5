"""Interventions once more, slowly: one whole forward pass a changed run, in NumPy and float64.

Shares no code with svt.compute; the models and their slices are those of tests/slow_models.py.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.slow import Row
from tests.slow_models import Array, SlowModel, SlowRun

Head = tuple[int, int]
Read = dict[int, tuple[Array, Array]]  # of each edit what its head reads: input and residual


class SlowIntervention:
    """A model, and one way to change its runs. An edit is a row with its place and its `slices`."""

    def __init__(
        self, model: SlowModel, scope: str, strength: float, homogeneous: bool, base: str
    ) -> None:
        self.model, self.scope, self.strength = model, scope, strength
        self.homogeneous, self.base = homogeneous, base

    def effects(self, prompt: Any, edits: Sequence[Row]) -> list[Row]:
        """A row a pair of one changed run, by pair_id; edits without a slice are none."""
        tokens = prompt.tokens[: prompt.roles.get("end", len(prompt.tokens) - 1) + 1]
        active = [edit for edit in edits if len(edit["slices"])]
        before = self.model.run(tokens)
        read: Read = {}
        after = self.changed(tokens, active, before, read)
        rows = []
        for pair_id in sorted({edit["pair_id"] for edit in active}):
            mine = [(i, e) for i, e in enumerate(active) if e["pair_id"] == pair_id]
            edit = mine[0][1]
            layer, head, at = edit["layer"], edit["head"], (edit["dest"], edit["src"])
            row: Row = {"pair_id": pair_id, "n_slices": len(edit["slices"])}
            for end, run in (("", before), ("_after", after)):
                row["score" + end] = run.scores[layer][head][at]
                row["weight" + end] = run.weights[layer][head][at]
                row["logit_diff" + end] = row["answer_rank" + end] = None
                logits = run.logits[-1]
                answers = [logits[token] for token in prompt.answer]
                distractors = [logits[token] for token in prompt.distractor]
                if answers:
                    best = max(answers)
                    row["answer_rank" + end] = 1 + sum(logit > best for logit in logits)
                if answers and distractors:
                    row["logit_diff" + end] = np.mean(answers) - np.mean(distractors)
            vectors = [self.vectors(before, after, e, read.get(i)) for i, e in mine]
            for name, which in (("", 0), ("resid_", 2)):
                row[name + "cosine"] = np.mean([cosine(*v[which : which + 2]) for v in vectors])
                row[name + "norm_ratio"] = np.mean(
                    [np.linalg.norm(v[which + 1]) / np.linalg.norm(v[which]) for v in vectors]
                )
            rows.append(row)
        return rows

    def vectors(
        self, before: SlowRun, after: SlowRun, edit: Row, read: tuple[Array, Array] | None
    ) -> tuple[Array, ...]:
        """The changed vector before and after, and the residual stream before and after."""
        m = token(edit)
        if read is None:
            up = edit["up_layer"]
            added = [run.attended[up][m] for run in (before, after)]
            behind = [run.resid[up][m] + run.attended[up][m] for run in (before, after)]
            return *added, *behind
        layer = edit["layer"]
        return before.x[layer][m], read[0], before.resid[layer][m], read[1]

    def h(self, edit: Row, out: Array) -> Array:
        """The projection of what the upstream head adds onto what its slices read, [d]."""
        layer, head = edit["layer"], edit["head"]
        of = self.model.decompose(layer, head)
        read = self.model.directions(of, edit["side"], layer, token(edit))
        along = read[:, list(edit["slices"])]
        extended = np.append(out, 1.0 if self.homogeneous else 0.0)
        projected: Array = (along @ np.linalg.lstsq(along, extended, rcond=None)[0])[:-1]
        return projected - projected.mean() if self.model.centres else projected

    def changed(
        self, tokens: Sequence[int], edits: Sequence[Row], clean: SlowRun, read: Read
    ) -> SlowRun:
        """The run with all edits; what their heads read goes into `read` unless global."""
        if self.scope != "global":
            return self.model.run(
                tokens, lambda run, *head: self.inputs(run, clean, head, edits, read)
            )

        def writes(run: SlowRun, layer: int, attended: Array) -> Array:
            attended = attended.copy()
            for edit in edits:
                if edit["up_layer"] == layer:
                    out = run.written["head", layer, edit["up_head"]][token(edit)]
                    attended[token(edit)] += self.strength * self.h(edit, out)
            return attended

        return self.model.run(tokens, writes=writes)

    def inputs(
        self, run: SlowRun, clean: SlowRun, head: Head, edits: Sequence[Row], read: Read
    ) -> list[Array]:
        """What a head's query, key and value are computed from, [position, d] each."""
        layer = head[0]
        parts = [[run.x[layer].copy(), run.resid[layer].copy()] for _ in range(3)]
        mine = [(i, e) for i, e in enumerate(edits) if (e["layer"], e["head"]) == head]
        base = clean if self.base == "clean" else run
        for _, edit in mine:
            m = token(edit)
            for part in self.parts(edit):
                parts[part][0][m], parts[part][1][m] = base.x[layer][m], base.resid[layer][m]
        for _, edit in mine:
            m = token(edit)
            out = base.written["head", edit["up_layer"], edit["up_head"]][m]
            h = self.strength * self.h(edit, out)
            for part in self.parts(edit):
                parts[part][0][m] += h / base.scale[layer][m]
                parts[part][1][m] += h
        for i, edit in mine:
            x, resid = parts[self.parts(edit)[0]]
            read[i] = x[token(edit)], resid[token(edit)]
        return [x for x, _ in parts]

    def parts(self, edit: Row) -> list[int]:
        """Which of query, key and value hear of an edit."""
        return [0, 1, 2] if self.scope == "local_qkv" else [edit["side"]]


def token(edit: Row) -> int:
    """The changed position."""
    position: int = edit["src"] if edit["side"] else edit["dest"]
    return position


def cosine(a: Array, b: Array) -> float:
    return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
