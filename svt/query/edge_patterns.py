"""Rows of a CSV file with a `*`: each stands for every shown edge that it matches.

`layer=9, head=6` with `*` elsewhere means all edges into head 9.6, `up_layer=2, up_head=8` all that
2.8 writes. Shown edges are those of the query `shown_edges`, at the run's own count threshold.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from svt.query.edge_rows import Row

ANY = "*"
CELLS = ("layer", "head", "side", "up_layer", "up_head")
_MATCHED = (*CELLS, "role")


def is_pattern(row: Row) -> bool:
    """Whether a row leaves a part of its edge open."""
    return any(row.values.get(cell) == ANY for cell in _MATCHED)


def matching(row: Row, shown: Sequence[Mapping[str, Any]]) -> Iterator[Row]:
    """The row with its cells filled in, for each of `shown` (rows of `shown_edges`) it matches."""
    given = {name: row.values.get(name) for name in _MATCHED}
    closed = {name: value for name, value in given.items() if value not in (ANY, None)}
    for edge in shown:
        if edge["component"] == "head" and all(str(edge[n]) == v for n, v in closed.items()):
            yield Row(row.where, {**row.values, **{name: edge[name] for name in _MATCHED}})
