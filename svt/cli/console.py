"""Output, messages and exit codes of the console scripts.

1. A closed pipe stops the output, not the work, and is not an error. A full device is reported in
   one line; it is an error only where the output is the whole purpose (svt-sql).
2. An error is one line on stderr and exit code 2, an interruption one line and exit code 130.
3. Control characters in data do not reach the terminal.
4. Log messages of the layers below are lines on stderr.
"""

import argparse
import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

import duckdb

from svt.errors import SvtError
from svt.system.text import first_line, make_visible

STOPPED = "stopped; what was finished is kept"


def make_parser(prog: str, description: str | None, epilog: str) -> argparse.ArgumentParser:
    """Return a parser whose help shows `epilog` as it is written."""
    return argparse.ArgumentParser(
        prog,
        description=description,
        epilog=epilog,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


def say(line: str) -> None:
    """Write one line to stderr; ignore a stream that cannot be written."""
    with suppress(OSError):
        print(make_visible(line), file=sys.stderr, flush=True)


class _Messages(logging.Handler):
    """Write the message of each record as a line."""

    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


def show_messages() -> None:
    """Show the log messages of svt in this process, and only errors of other libraries (step 4)."""
    logging.getLogger().setLevel(logging.ERROR)
    logger = logging.getLogger("svt")
    logger.setLevel(logging.INFO)
    if not any(isinstance(handler, _Messages) for handler in logger.handlers):
        logger.addHandler(_Messages())


@contextmanager
def console(name: str, stopped: str = STOPPED) -> Iterator[None]:
    """Run the block of the console script `name`, and exit after an error (steps 1, 2 and 4)."""
    show_messages()
    try:
        yield
        flush()
    except SvtError as error:
        _exit(name, str(error), 2)
    except KeyboardInterrupt:
        _exit(name, stopped, 130)
    except (duckdb.Error, OSError) as error:
        _exit(name, first_line(error), 2)
    except MemoryError:
        _exit(name, "out of memory; ask for less at once", 2)


def write(text: str, required: bool = False) -> None:
    """Write text to stdout (steps 1 and 3); SvtError if it is `required` and cannot be written."""
    with output(required):
        sys.stdout.write(make_visible(text) if sys.stdout.isatty() else text)


@contextmanager
def output(required: bool = False) -> Iterator[None]:
    """Run a block that writes to stdout (step 1); SvtError if it is `required` and fails."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        _close(sys.stdout)
    except OSError as error:
        _close(sys.stdout)
        failure = f"could not write to standard output ({error.strerror or error})"
        if required:
            raise SvtError(f"{failure}; free disk space, or redirect the rows") from error
        say(f"{failure}; the work itself is done")


def flush() -> None:
    """Flush stdout and stderr, so that Python has nothing left to write at exit."""
    with output():
        pass
    try:
        sys.stderr.flush()
    except OSError:
        _close(sys.stderr)


def _close(stream: TextIO) -> None:
    """Redirect the stream to the null device."""
    with suppress(OSError, ValueError), Path(os.devnull).open("w") as null:
        os.dup2(null.fileno(), stream.fileno())
    with suppress(OSError, ValueError):
        stream.flush()


def _exit(name: str, message: str, code: int) -> None:
    say(f"{name}: {message}")
    flush()
    sys.exit(code)
