"""README and docs/ are true: commands run or compose, what is named exists, nothing is missing."""

import re
import runpy
import shlex
import tomllib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, nullcontext
from functools import cache
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from svt.charts import FIGURES
from svt.cli.export import main as svt_export
from svt.cli.import_circuit import main as svt_import
from svt.cli.sql import main as svt_sql
from svt.compute.refuse import VERIFIED
from svt.db.target import open_target
from svt.paths import conf_dir
from svt.query.named import query_names
from tests.conftest import Finished, svt_in
from tests.importing.samples import published
from tests.pages import (
    DOCS,
    PAGES,
    README,
    ROOT,
    anchors,
    blocks,
    command_lines,
    commands,
    links,
    section,
    text,
)
from tests.settings import composed

PROGRAMS = ("svt", "svt-sql", "svt-import", "svt-export", "make", ".venv/bin/pip")
TERMS = ("role", "slice", "signal", "firing", "contribution", "root")
GENERATOR = runpy.run_path(str(ROOT / "docs" / "generate.py"))


@pytest.mark.parametrize("page", GENERATOR["PAGES"])
def test_generated_pages_are_those_of_the_files(page: str) -> None:
    assert GENERATOR["replaced"](page, text(page)) == text(page), "run make docs"


def test_the_readme_is_one_page() -> None:
    assert len(text(README).split()) <= 1500
    assert len(text(README).splitlines()) <= 220


@pytest.mark.parametrize("term", TERMS)
def test_a_term_is_defined_before_it_is_used(term: str) -> None:
    first = re.search(rf"\b{term}s?\b", text(README), re.I)
    assert first is not None
    assert text(README)[first.start() - 4 : first.end() + 4] == f"| **{term}** |"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_no_number_is_still_to_be_filled_in(page: Path) -> None:
    assert re.findall(r"\{\{\w+\}\}", text(page)) == []


@pytest.fixture(scope="module")
def targets(
    finished: Finished, all_slices: Finished, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, str]:
    """What the pages' names of targets and files stand for here."""
    folder = tmp_path_factory.mktemp("targets")
    (run,), (store,) = finished.runs, finished.stores
    circuit = folder / "circuit.graphml"
    circuit.write_text(published([((4, 1), (5, 4), "end", "dest", 200)]), encoding="utf-8")
    svt_import([str(circuit), "--out", str(folder / "import")])
    svt_export([str(store), str(folder / "exported")])
    few = ("dataset.n_prompts=4", "dump.min_weight=0.5", "dump.sample=0", "dump.effects=false")
    other = svt_in(folder, *few, "stages=[dump]", "dataset.counterfactual=abc")
    assert other.code == 0
    return {
        "RUN": str(run),
        "ALL_SLICES_RUN": str(all_slices.runs[0]),
        "STORE": str(store),
        "ABC_STORE": str(other.stores[0]),
        "IMPORT": str(folder / "import"),
        "DIR": str(folder / "exported"),
        "CIRCUIT.graphml": str(circuit),
    }


def test_every_line_is_a_command_that_is_tested() -> None:
    assert {line.split(" ")[0] for line in command_lines()} <= set(PROGRAMS)


@pytest.fixture(scope="module")
def opened() -> Iterator[Callable[..., Any]]:
    """`open_target` that opens a target once for all commands."""
    with ExitStack() as stack:
        lent = cache(lambda *target: nullcontext(stack.enter_context(open_target(*target))))
        yield lent


@pytest.mark.parametrize("command", [c for c in commands("svt-sql") if "--list" not in c])
def test_every_svt_sql_command_runs(
    targets: dict[str, str],
    opened: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
) -> None:
    monkeypatch.setattr("svt.cli.sql.open_target", opened)
    svt_sql([targets.get(word, word) for word in shlex.split(command)[1:]])
    assert "|" in capsys.readouterr().out


def first_value(word: str) -> str:
    """Return an override as it is, that of a sweep with its first value."""
    override = OverridesParser.create().parse_override(word)
    if not override.is_sweep_override():
        return word
    return f"{override.get_key_element()}={next(iter(override.sweep_string_iterator()))}"


@pytest.mark.parametrize(
    "command",
    [c for c in commands("svt") if c.split()[1:2] not in (["list"], ["clean"], ["compare"])],
)
def test_every_svt_command_composes(command: str) -> None:
    words = (word for word in shlex.split(command)[1:] if word not in ("-m", "--dry-run"))
    assert composed(*map(first_value, words))


@pytest.mark.parametrize("command", commands("svt-import"))
def test_every_svt_import_command_runs(
    targets: dict[str, str], tmp_path: Path, command: str
) -> None:
    words = [targets.get(word, word) for word in shlex.split(command)[1:]]
    svt_import([*words, "--out", str(tmp_path / "import")])
    assert (tmp_path / "import" / "results.duckdb").is_file()


@pytest.mark.parametrize("command", commands("svt-export"))
def test_every_svt_export_command_runs(
    targets: dict[str, str], tmp_path: Path, command: str
) -> None:
    here = {**targets, "DIR": str(tmp_path / "exported")}
    svt_export([here.get(word, word) for word in shlex.split(command)[1:]])
    assert (tmp_path / "exported" / "README.md").is_file()


@pytest.mark.parametrize("code", dict.fromkeys(blocks("python")))
def test_every_python_block_gives_rows(targets: dict[str, str], code: str) -> None:
    names: dict[str, Any] = {}
    exec(code.replace('"RUN"', repr(targets["RUN"])), names)
    frames = [value for value in names.values() if isinstance(value, pl.DataFrame)]
    assert frames
    assert all(frame.height for frame in frames)


def test_there_are_commands_to_test() -> None:
    assert len(commands("svt-sql")) >= 22
    assert len(commands("svt")) >= 40
    assert all(commands(program) for program in PROGRAMS)
    assert len(blocks("python")) >= 2


def test_every_make_target_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.search(r"^\.PHONY: (.*)$", makefile, re.M)[1].split())  # type: ignore[index]
    named = {line.split()[1] for line in commands("make")}
    named |= {name for page in PAGES for name in re.findall(r"`make ([\w-]+)", text(page))}
    assert {"run", "test", "check", "docs", "bench"} <= named <= targets


def test_every_extra_exists() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = {name for page in PAGES for name in re.findall(r"'\.\[(\w+)\]'", text(page))}
    assert named == set(project["optional-dependencies"])


def test_every_key_is_documented() -> None:
    """Of what Hydra composes for each dataset; generate.py reads the files' lines instead."""
    page = text("settings.md")
    datasets = [file.stem for file in (conf_dir() / "dataset").glob("*.yaml")]
    for name in datasets:
        tree = composed(f"dataset={name}")
        keys = {
            f"{group}.{key}"
            for group, settings in tree.items()
            if isinstance(settings, dict)
            for key in settings
        }
        for key in {"stages", *keys} - {"dataset.name"}:
            assert f"| `{key}` |" in page, key
    rows = re.findall(r"^\| `([\w.]+)` \| `(.*?)` \| (.*) \|$", page, re.M)
    assert all(meaning for _, _, meaning in rows)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_part_named_exists(page: Path) -> None:
    for path in re.findall(r"`((?:svt|conf|sql|tests|docs)/[\w./-]*)`", text(page)):
        assert (ROOT / path).exists(), path


def test_every_query_is_documented() -> None:
    for name in query_names():
        assert f"| `{name}` |" in text("queries.md")


def test_every_figure_is_documented() -> None:
    marked = dict(re.findall(r"^\| `(\w+)` \| (•?)", section("guide.md", "Figures"), re.M))
    assert marked == {name: "•" if spec.default else "" for name, spec in FIGURES.items()}


def test_every_model_configuration_is_documented() -> None:
    rows = re.findall(r"^\| (`[^|]*) \|", section("guide.md", "Models"), re.M)
    named = {name for row in rows[1:] for name in re.findall(r"`([^`]+)`", row)}
    assert named == {file.stem for file in (conf_dir() / "model").glob("*.yaml")}


def test_every_verified_type_is_documented() -> None:
    rows = re.findall(r"^\| `(\w+)` \|", section(README, "Which models"), re.M)
    assert sorted(rows) == sorted([*VERIFIED, "model_type"])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_pictures_lead_somewhere(page: Path) -> None:
    assert links(page)
    for file, anchor in links(page):
        assert file.is_file(), file
        assert not anchor or anchor in anchors(file), f"{file.name}#{anchor}"


def test_the_readme_leads_to_every_page() -> None:
    assert {file for file, _ in links(README)} >= set(DOCS)
