"""What every console script does at its ends: texts on stdout, and how it stops.

1. A closed pipe stops the output, not the work, and is no error; a device that is full is one line.
   Where the rows are all that was wanted (svt-sql), it is an error, else what was done counts.
2. An error is one line on stderr and exit code 2, an interruption a line and exit code 130.
3. No control character of data acts on the terminal.
4. What the layers below log is shown as lines on stderr.
"""

import logging
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

import duckdb

from svt.errors import SvtError
from svt.system.text import first_line, visible

STOPPED = "stopped; what was finished is kept, nothing half-written was left"


def say(line: str) -> None:
    """Write one line to stderr, for the person who waits; nobody may be there to read it."""
    with suppress(OSError):
        print(visible(line), file=sys.stderr, flush=True)


class _Messages(logging.Handler):
    """Writes each record's message as a line."""

    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


def show_messages() -> None:
    """Show what svt logs (step 4), in this process; of other libraries, errors alone."""
    logging.getLogger().setLevel(logging.ERROR)
    logger = logging.getLogger("svt")
    logger.setLevel(logging.INFO)
    if not any(isinstance(handler, _Messages) for handler in logger.handlers):
        logger.addHandler(_Messages())


@contextmanager
def console(name: str, stopped: str = STOPPED) -> Iterator[None]:
    """Run a console script's block under its `name`; steps 1, 2 and 4."""
    show_messages()
    try:
        yield
        flush()
    except SvtError as error:
        _end(name, str(error), 2)
    except KeyboardInterrupt:
        _end(name, stopped, 130)
    except (duckdb.Error, OSError) as error:
        _end(name, first_line(error), 2)
    except MemoryError:
        _end(name, "out of memory; ask for less at once", 2)


def write(text: str, required: bool = False) -> None:
    """Write text to stdout (steps 1 and 3); SvtError if it is `required` and cannot be written."""
    with output(required):
        sys.stdout.write(visible(text) if sys.stdout.isatty() else text)


@contextmanager
def output(required: bool = False) -> Iterator[None]:
    """A block that writes to stdout (step 1)."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        _close(sys.stdout)
    except OSError as error:
        _close(sys.stdout)
        told = f"could not write to standard output ({error.strerror or error})"
        if required:
            raise SvtError(f"{told}; free some room, or send the rows elsewhere") from error
        say(f"{told}; the work itself is done")


def flush() -> None:
    """Write out what waits, so that nothing is left to fail when Python ends."""
    with output():
        pass
    try:
        sys.stderr.flush()
    except OSError:
        _close(sys.stderr)


def _close(stream: TextIO) -> None:
    """From now on the stream goes nowhere."""
    with suppress(OSError, ValueError), Path(os.devnull).open("w") as nowhere:
        os.dup2(nowhere.fileno(), stream.fileno())
    with suppress(OSError, ValueError):
        stream.flush()


def _end(name: str, told: str, code: int) -> None:
    say(f"{name}: {told}")
    flush()
    sys.exit(code)
