"""svt: circuits in transformer language models, traced through singular vectors, as data.

A run is a folder of results beside the store that they were traced in. Make one or open one, and
ask it; frames are Polars frames and charts are Altair charts, which a notebook displays:

    import svt

    run = svt.run("dataset.n_prompts=16", "stages=[dump,trace]")  # as `svt ...` on the command line
    run.query("shown_edges", min_count=4)                         # the circuit: who writes for whom
    run.query("upstream_of", layer=5, head=4, side="dest")        # what reaches a head
    run.sql("select layer, head, count(*) from pairs where weight >= 0.5 group by all")
    run.chart("graph")                                            # a figure of the report
    run.queries(), run.tables()                                   # what can be asked, of what

    with svt.open(run.path) as again:                             # also a sweep or a store
        again.query("summary")

Nothing that is opened is changed. What is wrong is an `SvtError`, whose message says what to do:
a `ConfigError` for a setting, a `ModelError` for a model, a `DataError` for prompts and other
files, a `StoreError` for stores and runs, a `QueryError` for queries and SQL. Progress and notes
are logged under the name `svt`.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from svt.errors import ConfigError, DataError, ModelError, QueryError, StoreError, SvtError

if TYPE_CHECKING:
    from svt.api import Run

__all__ = [
    "ConfigError",
    "DataError",
    "ModelError",
    "QueryError",
    "StoreError",
    "SvtError",
    "open",
    "run",
]
__version__ = "0.1.0"

# Read when torch is first imported. Threads that wait in a loop instead of asleep make many small
# operations ten times slower on a machine that has other work to do.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def open(target: str | Path) -> "Run":
    """Open a run folder, a sweep folder, a store or an exported one, to be asked and drawn.

    It is read-only and stays open until `close()`, or the end of a with block. SvtError when
    `target` is none of them. `help(svt.open(target))` tells what can be asked.
    """
    from svt.api import Run

    return Run(target)


def run(*overrides: str) -> "Run":
    """Run the stages as the command line does and return the opened run.

    `overrides` are those of `svt`: `svt.run("model=smollm2", "trace.coverage=0.8")`. The run gets
    a folder of its own below outputs/runs, or `hydra.run.dir=DIR`. SvtError when anything is wrong.
    """
    from svt.api import run_and_open

    return run_and_open(overrides)
