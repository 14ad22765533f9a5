"""Expand rows of a CSV file that contain `*` into the shown edges that they match.

`layer=9, head=6` with `*` in the other cells matches all edges into head 9.6; `up_layer=2,
up_head=8` matches all edges from head 2.8. Shown edges are the rows of the query `shown_edges` at
the run's count threshold.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from svt.query.edge_rows import Row

ANY = "*"
CELLS = ("layer", "head", "side", "up_layer", "up_head")
_MATCHED = (*CELLS, "role")


def is_pattern(row: Row) -> bool:
    """Return whether a row contains `*`."""
    return any(row.values.get(cell) == ANY for cell in _MATCHED)


def expand_pattern(row: Row, shown: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    """Yield the row with the cells of each edge of `shown` (rows of `shown_edges`) it matches."""
    cells = {name: row.values.get(name) for name in _MATCHED}
    fixed = {name: value for name, value in cells.items() if value not in (ANY, None)}
    for edge in shown:
        if edge["component"] == "head" and all(str(edge[n]) == v for n, v in fixed.items()):
            yield Row(row.where, {**row.values, **{name: edge[name] for name in _MATCHED}})
