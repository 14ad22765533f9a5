"""The reference stage: every head alone, the table of what matters, and what is refused."""

import csv
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch

from svt.compute import head_classes
from svt.compute.ablate import Ablation
from svt.compute.head_classes import classify_heads
from svt.compute.model import Model
from svt.dataset.prompt import Prompt
from svt.errors import SvtError
from svt.query.evaluate import load_reference
from svt.stages.reference import ALL_HEADS, check_answers, make_reference
from tests.checkpoints import tiny_gpt2
from tests.compute.runs import loaded, prompts_of
from tests.marks import first
from tests.planted import PLAN
from tests.planted_answers import planted_with_answers
from tests.stages.test_faithfulness import config_of


def table(file: Path) -> list[dict[str, str]]:
    lines = file.read_text(encoding="utf-8").splitlines()
    return list(csv.DictReader(line for line in lines if not line.startswith("#")))


def preferred(model: Model, prompts: tuple[Prompt, ...]) -> tuple[Prompt, ...]:
    """Answer and distractor swapped where the model prefers the distractor."""
    full = Ablation(model, prompts, "zero", 0, 100).full
    return tuple(
        p if diff > 0 else replace(p, answer=p.distractor, distractor=p.answer)
        for p, diff in zip(prompts, full, strict=True)
    )


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Model:
    return loaded(tiny_gpt2(tmp_path_factory.mktemp("model"), sharp=4.0))


@pytest.mark.parametrize("kind", first(1, ["resample", "mean", "zero"]))
def test_heads_above_the_threshold_and_no_others(model: Model, tmp_path: Path, kind: str) -> None:
    prompts = preferred(model, prompts_of(2, 12, (5, 7)))
    config = config_of(f"reference.ablation={kind}", "reference.threshold=0.1", "reference.seed=4")
    path = make_reference(config, model, prompts, tmp_path / "run")
    ablation = Ablation(model, prompts, config.reference.ablation, 4, 100)
    clean = ablation.full.mean()
    heads = [(layer, head) for layer in range(3) for head in range(4)]
    diffs = ablation.logit_diffs([[head] for head in heads])
    rows = table(path.parent / ALL_HEADS)
    assert [(int(row["layer"]), int(row["head"])) for row in rows] == heads
    for row, diff in zip(rows, diffs, strict=True):
        assert float(row["effect"]) == pytest.approx(diff.mean() - clean, abs=1e-4)
        assert float(row["effect_share"]) == pytest.approx(diff.mean() / clean - 1, abs=1e-4)
        assert float(row["accuracy"]) == pytest.approx((diff > 0).mean(), abs=1e-4)
    wanted = [row for row in rows if abs(float(row["effect_share"])) >= 0.1]
    assert table(path) == wanted
    assert 0 < len(wanted) < len(rows)
    assert {float(row["effect"]) > 0 for row in wanted} == {True, False}
    assert [(h.layer, h.head) for h in load_reference(path)] == [
        (int(row["layer"]), int(row["head"])) for row in wanted
    ]
    remarks = [line for line in path.read_text().splitlines() if line.startswith("# ")]
    assert any(f"{kind} ablation" in line and "12 prompts" in line for line in remarks)
    assert any(f"{clean:.4f}" in line and "accuracy: 1.0000" in line for line in remarks)


def test_the_planted_heads_are_the_reference(tmp_path: Path) -> None:
    """Each layer has some, and no head but planted ones matters."""
    circuit = planted_with_answers(tmp_path, seed=0)
    config = config_of()
    path = make_reference(config, loaded(circuit.path), circuit.prompts, tmp_path)
    found = {(head.layer, head.head): head.kind for head in load_reference(path)}
    assert set(found) <= circuit.heads
    assert {layer for layer, _ in found} == {0, 1, 2, 3}
    assert found[circuit.root] == "end->P"


def test_classes_are_the_roles_of_most_firings(tmp_path: Path) -> None:
    """P fires from P onto Q, and so on; E1 and E2 do the same. Without R the root never fires."""
    circuit = planted_with_answers(tmp_path, seed=1)
    classes = classify_heads(loaded(circuit.path), circuit.prompts, 0.5, 5)
    classes_of_heads = {classes.get(head) for head in circuit.heads}
    assert classes_of_heads == {"P->Q", "R->Q", "end->Q", "R->P", "end->R", "end->P"}
    assert len(PLAN) == len(classes_of_heads) + 1
    rare = classify_heads(loaded(circuit.path), circuit.prompts[1::2], 0.5, 5)
    assert rare.get(circuit.root) is None


def test_what_counts_for_a_class(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight prompts; of the heads only the first fires in two of them as a class needs it."""
    prompts = tuple(Prompt(i, "", (0,) * 4, (), {"bos": 0, "x": 1, "end": 3}) for i in range(8))
    weights, scores = np.zeros((8, 5, 4, 4)), np.ones((8, 5, 4, 4))
    weights[:2, 0, 3, 1] = 0.5  # end->x in a quarter; end->end in all does not count
    weights[:, 0, 3, 3] = 0.5
    weights[:1, 1, 3, 1] = 1.0  # in fewer than a quarter
    weights[:, 2, 3, 1], scores[:, 2] = 1.0, -0.1  # a score below 0
    weights[:, 3, 3, 0] = 1.0  # onto the first token
    weights[:, 4, 3, 1] = 0.49  # below the weight
    first = [0]

    def forward(model: Any, batch: Any, components: Any, choose: Any) -> None:
        part = slice(first[0], first[0] + len(batch.prompts))
        first[0] = part.stop
        choose(0, torch.as_tensor(weights[part]), torch.as_tensor(scores[part]))

    monkeypatch.setattr(head_classes, "forward", forward)
    model = Mock(spec=Model, n_layers=1, n_heads=5)
    assert classify_heads(model, prompts, 0.5, 3) == {(0, 0): "end->x"}


def test_prompts_without_roles_have_no_classes(tmp_path: Path) -> None:
    prompts = tuple(replace(p, roles={}) for p in prompts_of(1, 4, (5, 5)))
    assert classify_heads(loaded(tiny_gpt2(tmp_path)), prompts, 0.5, 4) == {}


def test_prompts_without_answers_are_refused() -> None:
    answered, *others = prompts_of(1, 3, (5, 5))
    blank = [replace(others[0], answer=()), replace(others[1], distractor=())]
    assert check_answers([*blank, answered]) == (answered,)
    with pytest.raises(SvtError, match="no prompt has both; use dataset=ioi"):
        check_answers(blank)


def test_prompts_that_do_not_fit_the_model_are_refused(tmp_path: Path) -> None:
    model = loaded(tiny_gpt2(tmp_path, n_ctx=6))
    with pytest.raises(SvtError, match="longer than the model's context of 6 tokens"):
        make_reference(config_of(), model, prompts_of(1, 3, (7, 7)), tmp_path)


def test_a_model_that_prefers_the_distractors_is_refused(model: Model, tmp_path: Path) -> None:
    prompts = tuple(
        replace(p, answer=p.distractor, distractor=p.answer)
        for p in preferred(model, prompts_of(1, 12, (5, 7)))
    )
    with pytest.raises(SvtError, match="does not prefer the answers"):
        make_reference(config_of(), model, prompts, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_only_correct_counts_rightly_answered_prompts_alone(model: Model, tmp_path: Path) -> None:
    """Of 12 prompts two are answered wrongly: the reference is that of the other ten."""
    right = preferred(model, prompts_of(2, 12, (5, 7)))
    mixed = tuple(
        replace(p, answer=p.distractor, distractor=p.answer) if p.prompt_id % 6 == 0 else p
        for p in right
    )
    only = ("dataset.only_correct=true", "reference.threshold=0.1")
    tables = {
        name: make_reference(config_of(*settings), model, prompts, tmp_path / name)
        for name, settings, prompts in (
            ("only", only, mixed),
            ("ten", only[1:], tuple(p for p in right if p.prompt_id % 6)),
            ("all", only[1:], mixed),
        )
    }
    rows = {name: (table(path), table(path.parent / ALL_HEADS)) for name, path in tables.items()}
    assert rows["only"] == rows["ten"] != rows["all"]
    assert (
        "over 10 prompts of dataset=ioi that it answers correctly\n" in tables["only"].read_text()
    )
    assert "answers correctly" not in tables["ten"].read_text()


def test_no_rightly_answered_prompt_at_all_is_refused(model: Model, tmp_path: Path) -> None:
    wrong = tuple(
        replace(p, answer=p.distractor, distractor=p.answer)
        for p in preferred(model, prompts_of(1, 12, (5, 7)))
    )
    with pytest.raises(SvtError, match="answers none of the 12 prompts correctly"):
        make_reference(config_of("dataset.only_correct=true"), model, wrong, tmp_path / "run")


def test_when_no_head_reaches_the_threshold_all_are_named(model: Model, tmp_path: Path) -> None:
    prompts = preferred(model, prompts_of(1, 12, (5, 7)))
    scaled = config_of("reference.threshold=1.0")
    with pytest.raises(SvtError, match=r"by at least 1 of it; .* Lower reference\.threshold"):
        make_reference(scaled, model, prompts, tmp_path / "run")
    assert [file.name for file in (tmp_path / "run").iterdir()] == [ALL_HEADS]
    largest = max(abs(float(row["effect_share"])) for row in table(tmp_path / "run" / ALL_HEADS))
    assert np.isfinite(largest) and largest < 1
