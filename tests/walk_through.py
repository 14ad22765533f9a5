"""The commands of docs/walk-through.md and their output; `python tests/walk_through.py` renews it.

1. A block ```console holds one command after `$ ` (a backslash continues the line) and its output.
2. The first command makes the run; `RUN` in the others is its folder. Another run is named by
   `hydra.run.dir`, from the folder in which all commands are called.
3. Paths of the run and of stores are written RUN and STORE.
"""

import contextlib
import io
import re
import shlex
import tempfile
from collections.abc import Callable
from pathlib import Path

from svt.cli import sql as cli
from svt.cli import summary
from svt.config import from_mapping
from svt.store.results import load_config, load_stores
from tests.conftest import svt_in

DOC = Path(__file__).resolve().parent.parent / "docs" / "walk-through.md"
_BLOCK = re.compile(r"```console\n\$ (.*?[^\\])\n(.*?)```", re.S)


def blocks(text: str) -> list[tuple[list[str], str]]:
    """The words of each command, and what is shown below it (step 1)."""
    return [(_words(command), shown.strip()) for command, shown in _BLOCK.findall(text)]


def renewed(text: str, run: Callable[[list[str]], str]) -> str:
    """The text with what `run` prints below every command."""

    def block(match: re.Match[str]) -> str:
        return f"```console\n$ {match[1]}\n{run(_words(match[1]))}\n```"

    return _BLOCK.sub(block, text)


def printed(words: list[str], run: Path) -> str:
    """What a command prints, called beside outputs/ of the run in the folder `run` (2 and 3)."""
    words = [word.replace("RUN", str(run)) for word in words]
    called = run.parents[2]
    out = io.StringIO()
    if words[0] == "svt" and not any(re.match(r"run\.path=|hydra\.run\.dir=", w) for w in words):
        out.write(_summary(run))  # it is there already
    else:
        with contextlib.redirect_stdout(out), contextlib.chdir(called):
            if words[0] == "svt":
                assert svt_in(called, *words[1:]).code == 0
            else:
                cli.main(words[1:])
    return _told(out.getvalue(), run)


def _words(command: str) -> list[str]:
    return shlex.split(command.replace("\\\n", ""))


def _summary(run: Path) -> str:
    config, stores = from_mapping(load_config(run)), load_stores(run)
    return f"{summary.summarise(config, run, stores)}\n\n{summary.describe_output(run, stores)}"


def _told(text: str, run: Path) -> str:
    """Step 3, without the advice at the end of a run."""
    text = re.sub(rf"\S*{re.escape(run.name)}(?=[/\s])", "RUN", text)
    text = re.sub(r"\S*outputs/stores/\S+\.duckdb", "STORE", text)
    return text.split("\ntry next:")[0].strip()


def main() -> None:
    text = DOC.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        (first, _), *_ = blocks(text)
        done = svt_in(Path(folder), *first[1:])
        assert done.code == 0
        DOC.write_text(renewed(text, lambda words: printed(words, done.runs[0])), encoding="utf-8")


if __name__ == "__main__":
    main()
