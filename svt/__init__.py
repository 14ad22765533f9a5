"""svt: trace circuits in transformer language models through singular vectors, and query them.

A run is a folder with results, which were traced in a store. Make or open one and query it;
frames are Polars frames, charts are Altair charts that a notebook displays:

    import svt

    run = svt.run("dataset.n_prompts=16", "stages=[dump,trace]")  # as `svt ...` on the command line
    run.query("shown_edges", min_count=4)                         # edges of the circuit
    run.query("upstream_of", layer=5, head=4, side="dest")        # contributions to a head
    run.sql("select layer, head, count(*) from pairs where weight >= 0.5 group by all")
    run.chart("graph")                                            # a figure of the report
    run.queries(), run.tables()                                   # list both

    with svt.open(run.path) as opened:                            # also a sweep or a store
        opened.query("summary")

Files are opened read-only. Errors are an `SvtError` whose message says what to do: a `ConfigError`
for a setting, a `ModelError` for a model, a `DataError` for prompts and other files, a `StoreError`
for stores and runs, a `QueryError` for queries and SQL. Progress and notes are logged under the
name `svt`.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from svt.errors import ConfigError, DataError, ModelError, QueryError, StoreError, SvtError
from svt.version import VERSION

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

__version__ = VERSION

# Read when torch is first imported. On a busy machine, threads that wait in a loop instead of
# sleeping make many small operations ten times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


def open(target: str | Path) -> "Run":
    """Open a run folder, a sweep folder, a store or an exported store, read-only.

    It stays open until `close()`, or the end of a with block. SvtError when `target` is none of
    them. `help(svt.open(target))` describes its methods.
    """
    from svt.api import Run

    return Run(target)


def run(*overrides: str) -> "Run":
    """Run the stages as the command line does and return the opened run.

    `overrides` are those of `svt`: `svt.run("model=smollm2", "trace.coverage=0.8")`. The run has
    its own folder in outputs/runs, or `hydra.run.dir=DIR`. SvtError when the run fails.
    """
    from svt.api import run_and_open

    return run_and_open(overrides)
