"""The dump stage: a stopped one goes on where it was, wrong answers can be left out."""

import logging
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import pytest

from svt.bench.setting import configuration
from svt.compute import dump as computed
from svt.config import Config
from svt.dataset import Dataset
from svt.db.identity import Identity
from svt.errors import SvtError
from svt.stages import dump as stage
from svt.stages.dump import dump
from svt.stages.inputs import Inputs

IDENTITY = Identity("of a test", "weights")
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def config() -> Config:
    bundled = configuration(ROOT / "svt/ioi_mini/model")
    return replace(
        bundled,
        dataset=replace(bundled.dataset, n_prompts=12),
        dump=replace(
            bundled.dump, min_weight=0.3, sample=0.05, batch_size=4, coordinates=((5, 4),)
        ),
    )


@pytest.fixture(scope="module")
def dataset(config: Config) -> Dataset:
    return Inputs(config).dataset


@pytest.fixture(scope="module")
def whole(config: Config, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "store.duckdb"
    dump(config, dataset, IDENTITY, path)
    return path


def stop_after(monkeypatch: pytest.MonkeyPatch, n: int) -> list[int]:
    """The dump is interrupted in batch `n`; returns the lengths of the batches that were run."""
    worker: Any = computed._Worker
    original, run = worker.forward, []

    def forward(self: object, batch: Any) -> Any:
        if len(run) == n:
            raise KeyboardInterrupt
        run.append(len(batch.prompts))
        return original(self, batch)

    monkeypatch.setattr(worker, "forward", forward)
    return run


def test_a_stopped_dump_resumes_to_the_same_store(
    config: Config,
    dataset: Dataset,
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = tmp_path / "store.duckdb"
    caplog.set_level(logging.INFO, "svt")
    for n in (1, 1):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            stop_after(patch, n)
            dump(config, dataset, IDENTITY, path)
        assert not path.exists()
        kept = re.findall(r"(\d+) of 12 prompts are kept; the same", caplog.text)
        assert "dump: about" not in caplog.text  # which a long one says
        caplog.clear()
        assert len(kept) == 1 and 0 < int(kept[0]) < 12
    with monkeypatch.context() as patch:
        run = stop_after(patch, 100)
        dump(config, dataset, IDENTITY, path)
    assert run == [4]  # of three batches one and one were there
    with duckdb.connect() as con:
        con.execute(f"ATTACH '{whole}' AS whole (READ_ONLY)")
        con.execute(f"ATTACH '{path}' AS gone_on (READ_ONLY)")
        tables = con.execute(
            "SELECT table_name, estimated_size FROM duckdb_tables() WHERE database_name = 'whole'"
        ).fetchall()
        assert len(tables) >= 10
        for table, size in tables:
            if table == "dump":
                continue
            assert size > 0, table
            one, other = (
                con.execute(f"FROM {store}.{table} ORDER BY ALL").fetchall()
                for store in ("whole", "gone_on")
            )
            assert one == other, table


def test_other_batches_are_not_resumed(
    config: Config, dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "store.duckdb"
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_after(patch, 2)
        dump(config, dataset, IDENTITY, path)
    run = stop_after(monkeypatch, 100)
    dump(replace(config, dump=replace(config.dump, batch_size=6)), dataset, IDENTITY, path)
    assert run == [6, 6]


def only_correct(config: Config) -> Config:
    return replace(config, dataset=replace(config.dataset, only_correct=True))


def swapped(dataset: Dataset, every: int) -> Dataset:
    """The same prompts, of every so many the distractor called the answer."""
    prompts = [
        replace(
            p,
            answer=p.distractor,
            distractor=p.answer,
            answer_texts=p.distractor_texts,
            distractor_texts=p.answer_texts,
        )
        if p.prompt_id % every == 0
        else p
        for p in dataset.prompts
    ]
    return replace(dataset, prompts=tuple(prompts))


def test_wrong_answers_are_left_out(
    config: Config, dataset: Dataset, whole: Path, tmp_path: Path
) -> None:
    path = tmp_path / "store.duckdb"
    dump(only_correct(config), swapped(dataset, 3), IDENTITY, path)
    with duckdb.connect() as con:
        con.execute(f"ATTACH '{whole}' AS whole (READ_ONLY)")
        con.execute(f"ATTACH '{path}' AS store (READ_ONLY)")
        ((note,),) = con.execute("SELECT notes->>'$[#-1]' FROM store.dump").fetchall()
        assert note.startswith("4 of 12 prompts are left out")
        for table in ("prompts", "tokens", "roles", "answers", "head_effects", "coordinates"):
            wanted = f"FROM whole.{table} WHERE prompt_id % 3 <> 0 ORDER BY ALL"
            got = con.execute(f"FROM store.{table} ORDER BY ALL").fetchall()
            assert got == con.execute(wanted).fetchall(), table
        for table in ("pairs", "slices", "sides", "upstream"):
            kept = "SELECT pair_id FROM whole.pairs WHERE prompt_id % 3 <> 0"
            number = {"slices": "rank", "upstream": "up_layer + 1"}.get(table, "1")
            what = f"SELECT pair_id, sum({number}) FROM {{}}.{table} GROUP BY ALL ORDER BY ALL"
            wanted = con.execute(what.format("whole")).fetchall()
            of = {pair_id for (pair_id,) in con.execute(kept).fetchall()}
            got = con.execute(what.format("store")).fetchall()
            assert got == [row for row in wanted if row[0] in of], table


def test_no_right_answer_at_all_is_said(config: Config, dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(SvtError, match="answers none of the 12 prompts correctly"):
        dump(only_correct(config), swapped(dataset, 1), IDENTITY, tmp_path / "store.duckdb")
    assert not (tmp_path / "store.duckdb").exists()


@pytest.fixture
def long_log(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> pytest.LogCaptureFixture:
    """The log, in which every dump counts as long."""
    caplog.set_level(logging.INFO, "svt")
    monkeypatch.setattr(stage, "LONG", 0.0)
    return caplog


def test_a_resumed_dump_says_what_is_left(
    config: Config,
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    long_log: pytest.LogCaptureFixture,
) -> None:
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        stop_after(patch, 2)
        dump(config, dataset, IDENTITY, tmp_path / "long.duckdb")
    kept = stage.unfinished_bytes(tmp_path / "long.duckdb")
    sizes: list[float] = []
    monkeypatch.setattr(stage, "_format_estimate", lambda *args: sizes.append(args[1]) or "about")
    dump(config, dataset, IDENTITY, tmp_path / "long.duckdb")
    (size,) = sizes
    assert "8 of 12 prompts were finished" in long_log.text
    assert 0 <= size < kept  # of a third of the prompts


def test_a_long_dump_says_what_it_will_take(
    config: Config,
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    long_log: pytest.LogCaptureFixture,
) -> None:
    """After the first of its batches."""
    dump(config, dataset, IDENTITY, tmp_path / "long.duckdb")
    message = long_log.text
    assert re.search(r"dump: about \d+ s and \d+\.\d [MG]B for 12 prompts; what is fini", message)
    monkeypatch.setattr(stage.shutil, "disk_usage", lambda _: SimpleNamespace(free=0))
    assert "; only 0.0 MB are free in" in stage._format_estimate(1.0, 1e6, 16, tmp_path)
