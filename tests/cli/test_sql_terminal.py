"""`svt-sql` on a terminal: tables that stop, wide rows, and the prompt."""

import builtins
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest

from svt.cli import sql
from svt.cli.prompt import _make_completer, _split_line
from svt.cli.rows import MOST_ROWS, print_rows
from tests.conftest import Finished

LONG = pl.DataFrame({"n": range(MOST_ROWS + 5), "text": ["a"] * (MOST_ROWS + 5)})


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for stream in (sys.stdin, sys.stdout):
        monkeypatch.setattr(stream, "isatty", lambda: True)


def test_a_long_table_stops_on_a_terminal_alone(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    print_rows(LONG, "table")
    assert capsys.readouterr().out.endswith(f"\n{LONG.height} rows\n")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_rows(LONG, "table")
    out = capsys.readouterr().out
    assert f"\n{MOST_ROWS} of {LONG.height} rows; all of them with --format csv" in out
    assert out.count("| a ") == MOST_ROWS
    print_rows(LONG, "csv")
    assert capsys.readouterr().out.count("\n") == LONG.height + 1


def test_expanded_rows_are_in_blocks(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(pl.DataFrame({"a": [1, None], "longer": ["x", "y"]}), "table", expand=True)
    message = "-- row 1\na      | 1\nlonger | x\n-- row 2\na      | null\nlonger | y\n2 rows\n"
    assert capsys.readouterr().out == message


def test_a_target_alone_opens_a_prompt(
    finished: Finished,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    terminal: None,
) -> None:
    """Queries, SQL and dot commands, line by line; what is wrong ends the line alone."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    lines: Iterator[str] = iter(
        [
            "", "summary", "upstream_of layer=5 head=4 side=dest", "select 41 + 1 as m;",
            "summmary", ".schema pairs", ".expand", "select 7 as seven", "select * from nothing",
        ]
    )  # fmt: skip

    def typed(_: str) -> str:
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr(builtins, "input", typed)
    sql.main([str(finished.runs[0])])
    out, err = capsys.readouterr()
    assert "ioi-mini" in out and "| 42 |" in out and "omega_score" in out
    assert "seven | 7" in out
    assert "svt-sql: no query summmary" in err and "nothing does not exist" in err
    assert "Traceback" not in err


def test_a_target_alone_elsewhere_says_what_is_missing(
    finished: Finished, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stop:
        sql.main([str(finished.runs[0])])
    assert stop.value.code == 2
    assert "give a query or SQL text; --list shows the queries" in capsys.readouterr().err


def test_sql_is_one_word_and_a_query_many() -> None:
    assert _split_line("select 'a b' as c") == ["select 'a b' as c"]
    assert _split_line("firings min_prompts=3") == ["firings", "min_prompts=3"]
    assert _split_line("head_roles dest='a b'") == ["head_roles", "dest=a b"]


def test_the_tab_key_completes_names() -> None:
    complete = _make_completer(["pairs", "pairs_named", "prompts"])
    assert [complete("pai", state) for state in range(3)] == ["pairs", "pairs_named", None]
