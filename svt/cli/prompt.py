"""`svt-sql RUN` alone on a terminal: a prompt that takes queries and SQL, line by line.

1. A line is what the command line would be behind the target: a named query with its parameters, or
   SQL. `.schema [TABLE]`, `.list` and `.expand` do what the options do; `.quit` or Ctrl-D ends it.
2. Lines are kept in the user's cache folder, and the tab key completes the names of tables, columns
   and queries, where this Python has readline.
3. An error is a line, and the prompt goes on; Ctrl-C leaves a line or ends its query.
"""

import contextlib
import shlex
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

from svt.cli.console import say
from svt.errors import QueryError, SvtError
from svt.paths import cache_dir

GREETING = "a query with name=value, or SQL; .schema [TABLE], .list, .expand, .quit; tab completes"
_HISTORY = 1_000
"""Lines."""


def ask_lines(ask: Callable[[Sequence[str]], None], names: Sequence[str]) -> None:
    """Pass the words of every line to `ask`, until the input ends; `names` complete (step 2)."""
    say(GREETING)
    with _editing(names):
        while True:
            try:
                line = input("svt> ").strip().rstrip(";")
            except EOFError:
                say("")
                return
            except KeyboardInterrupt:  # 3
                say("")
                continue
            if line in (".quit", ".exit"):
                return
            if line:
                try:
                    ask(_words(line))
                except SvtError as error:
                    say(f"svt-sql: {error}")
                except KeyboardInterrupt:
                    say("stopped")


def _words(line: str) -> list[str]:
    """Step 1: SQL is one word, whatever stands in it."""
    first = line.split()[0]
    is_sql = first.lower() in ("select", "from", "with", "describe", "show", "pivot", "explain")
    if is_sql or any(c in first for c in "();"):
        return [line]
    try:
        return shlex.split(line)
    except ValueError as error:
        raise QueryError(f"{line}: {error}") from error


@contextlib.contextmanager
def _editing(names: Sequence[str]) -> Iterator[None]:
    """Step 2."""
    try:
        import readline
    except ImportError:
        yield
        return
    history = cache_dir() / "sql_history"
    with contextlib.suppress(OSError):
        readline.read_history_file(history)
    readline.set_history_length(_HISTORY)
    readline.set_completer_delims(" ,()=.;\"'")
    readline.set_completer(_completer(names))
    readline.parse_and_bind("tab: complete")
    try:
        yield
    finally:
        readline.set_completer(None)
        _keep(readline, history)


def _completer(names: Sequence[str]) -> Callable[[str, int], str | None]:
    def complete(text: str, state: int) -> str | None:
        found = [name for name in names if name.startswith(text)]
        return found[state] if state < len(found) else None

    return complete


def _keep(readline: ModuleType, history: Path) -> None:
    with contextlib.suppress(OSError):
        history.parent.mkdir(parents=True, exist_ok=True)
        readline.write_history_file(history)
