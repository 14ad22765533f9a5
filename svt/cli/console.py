"""What every console script does at its ends: texts on stdout, and how it stops.

1. A closed pipe stops the output, not the work, and is no error; a device that is full is one line.
   Where the rows are all that was wanted (svt-sql), it is an error, else what was done counts.
2. An error is one line on stderr and exit code 2, an interruption a line and exit code 130.
3. No control character of data acts on the terminal.
"""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TextIO

import duckdb

from svt.errors import SvtError
from svt.system.progress import say
from svt.system.text import visible

STOPPED = "stopped; what was finished is kept, nothing half-written was left"


@contextmanager
def console(name: str, stopped: str = STOPPED) -> Iterator[None]:
    """The block of a console script `name`; steps 1 and 2."""
    try:
        yield
        flush()
    except SvtError as error:
        _end(name, str(error), 2)
    except KeyboardInterrupt:
        _end(name, stopped, 130)
    except (duckdb.Error, OSError) as error:
        _end(name, (str(error).splitlines() or [type(error).__name__])[0], 2)
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
