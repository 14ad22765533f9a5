"""Compare two runs on one page (`svt compare`).

1. Open each run with its store, and the first with the second beside it.
2. Draw the traced graph of each: its strongest edges, or the whole of an imported circuit.
3. Write the page (svt/report/comparison.py).
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from svt.charts import FIGURES, draw
from svt.config import Config
from svt.db.connect import connect
from svt.db.target import open_target
from svt.report.comparison import Compared, make_comparison
from svt.report.page import check_report, write_report
from svt.stages.chart import cache_queries, list_filled, make_context
from svt.store.results import NAME, check_tables, load_config, load_stores

SKELETON = "graph_skeleton"


def compare_runs(one: Path, other: Path, configs: tuple[Config, Config], out: Path) -> Path:
    """Write the page that compares two run folders to `out`, and return its path.

    configs: of the two, with values for every key.

    SvtError, with nothing written, for a folder without finished results, or an `out` of others.
    """
    check_report(out)
    with ExitStack() as stack:
        this, that = map(stack.enter_context, map(open_run, (one, other), configs))  # 1
        con = stack.enter_context(open_target(one, other=other))
        return write_report(out, make_comparison(this, that, cache_queries(con)))  # 3


@contextmanager
def open_run(folder: Path, config: Config) -> Iterator[Compared]:
    """Yield a run with its graph drawn (steps 1 and 2); StoreError when it is not whole."""
    settings, stores = load_config(folder), load_stores(folder)
    check_tables(folder)
    with connect(stores, folder / NAME) as con:
        context, ask = make_context(con, config), cache_queries(con)
        drawable = set(FIGURES[SKELETON].needs) <= list_filled(con)
        graph = draw(SKELETON if drawable else "graph", ask, context)
        yield Compared(folder.resolve().name, config, settings, context, ask, graph)
