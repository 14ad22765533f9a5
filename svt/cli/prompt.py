"""The interactive prompt of `svt-sql RUN`, which reads queries and SQL line by line.

1. A line has the form of the command line after the target: a named query with parameters, or SQL.
   `.schema [TABLE]`, `.list` and `.expand` act as the options; `.quit` or Ctrl-D ends the prompt.
2. With readline, the tab key completes the names of tables and queries, and the history is saved
   in the user's cache folder.
3. An error is printed as one line; Ctrl-C discards a line or interrupts its query.
"""

import contextlib
import shlex
from collections.abc import Callable, Iterator, Sequence

from svt.cli.console import say
from svt.errors import QueryError, SvtError
from svt.paths import cache_dir

GREETING = "a query with name=value, or SQL; .schema [TABLE], .list, .expand, .quit; tab completes"
_HISTORY = 1_000
"""Lines."""


def read_lines(run_line: Callable[[Sequence[str]], None], names: Sequence[str]) -> None:
    """Pass the words of every line to `run_line` until the input ends; complete `names`."""
    say(GREETING)
    with _line_editing(names):
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
                    run_line(_split_line(line))
                except SvtError as error:
                    say(f"svt-sql: {error}")
                except KeyboardInterrupt:
                    say("stopped")


def _split_line(line: str) -> list[str]:
    """Return the words of a line; SQL is a single word (step 1)."""
    first = line.split()[0]
    is_sql = first.lower() in ("select", "from", "with", "describe", "show", "pivot", "explain")
    if is_sql or any(c in first for c in "();"):
        return [line]
    try:
        return shlex.split(line)
    except ValueError as error:
        raise QueryError(f"{line}: {error}") from error


@contextlib.contextmanager
def _line_editing(names: Sequence[str]) -> Iterator[None]:
    """Enable completion and history inside the block, if readline is available (step 2)."""
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
    readline.set_completer(_make_completer(names))
    readline.parse_and_bind("tab: complete")
    try:
        yield
    finally:
        readline.set_completer(None)
        with contextlib.suppress(OSError):
            history.parent.mkdir(parents=True, exist_ok=True)
            readline.write_history_file(history)


def _make_completer(names: Sequence[str]) -> Callable[[str, int], str | None]:
    def complete(text: str, state: int) -> str | None:
        matches = [name for name in names if name.startswith(text)]
        return matches[state] if state < len(matches) else None

    return complete
