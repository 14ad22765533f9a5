"""A planted circuit as files that `svt` takes, whose model children hold loaded; a run of it."""

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.conftest import made_once
from tests.faults import forked
from tests.planted_answers import planted_with_answers


@dataclass(frozen=True)
class Job:
    """The overrides of `svt` in these tests: a model, prompts, a root, quick figures."""

    overrides: tuple[str, ...]

    def __call__(self, stages: str, *others: str) -> tuple[str, ...]:
        return (*self.overrides, f"stages=[{stages}]", *others)


@pytest.fixture(scope="session")
def job(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Job]:
    at = made_once(tmp_path_factory, "planted", _write_planted)
    layer, head = json.loads((at / "root.json").read_text())
    os.environ[forked.MODEL_FOLDER] = str(at / "model")
    yield Job(
        (
            "model=local",
            "model.name=planted",
            f"model.path={at / 'model'}",
            "dataset=file",
            f"dataset.path={at / 'prompts.jsonl'}",
            f"trace.roots=[[{layer},{head}]]",
            "evaluate.reference=none",
            "chart.figures=[precision_recall]",
            "chart.format=[json]",
            "dump.batch_size=2",
            "dump.min_weight=0.5",
            "dump.sample=0",
        )
    )
    del os.environ[forked.MODEL_FOLDER]


def _write_planted(at: Path) -> None:
    circuit = planted_with_answers(at / "model", seed=0, n_prompts=12)
    rows = [
        {
            "tokens": list(prompt.tokens),
            "roles": dict(prompt.roles),
            "answer": prompt.answer_texts[0],
            "distractor": prompt.distractor_texts[0],
        }
        for prompt in circuit.prompts
    ]
    (at / "prompts.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (at / "root.json").write_text(json.dumps(circuit.root))


@pytest.fixture(scope="session")
def made(job: Job, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run, its store, charts and report, for tests to read."""

    def make(at: Path) -> None:
        ended = forked.ran(at, *job("dump,trace,evaluate,chart,report"))
        assert ended.code == 0, ended.message

    return made_once(tmp_path_factory, "faults", make)


@pytest.fixture
def swept(made: Path, tmp_path: Path) -> Path:
    """The folder of a sweep of two jobs, before they are put together."""
    at = tmp_path / "sweep"
    for number in (0, 1):
        shutil.copytree(made / "run", at / str(number))
        values = {"status": "done", "stores": [], "values": {"trace.coverage": number / 2}}
        (at / str(number) / "job.json").write_text(json.dumps(values))
    (at / "keys.json").write_text(json.dumps({"keys": ["trace.coverage"]}))
    return at
