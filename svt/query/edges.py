"""Which edges are intervened on, and the pairs that they change.

1. `intervene.edges` and `intervene.sets` are a named query, a CSV file or SQL
   (svt/query/edge_rows.py). Their rows have the columns COLUMNS and, if they like, `component`,
   `dest_role`, `src_role` and `role`, the role of the token that is written into.
2. A row whose upstream is a head is an edge, any other is skipped; a row of a file with a `*`
   is every shown edge that it matches (svt/query/edge_patterns.py). What cannot be an edge is
   refused with its row and column.
3. Rows with the same `set` are one set, whose edges are changed together. A set of which a row
   matches no shown edge is not that set any more; it is left without edges.
4. An edge changes every pair of its downstream head, between tokens of its roles, that the trace
   reached from any root (sql/intervene/edge_pairs.sql).
5. The signal of a pair is spanned by the slices of its signal set (sql/intervene/pair_slices.sql).
"""

import logging
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, cast

import duckdb
import numpy as np
import polars as pl
from numpy.typing import NDArray

from svt.db.connect import lending
from svt.errors import ConfigError, DataError
from svt.paths import sql_dir
from svt.query.edge_patterns import ANY, CELLS, is_pattern, matching
from svt.query.edge_rows import Row, check_rows, rows_of
from svt.query.named import run
from svt.query.refusals import check_heads
from svt.words import SIDES, Side

logger = logging.getLogger(__name__)

COLUMNS = CELLS
EDGES, SETS = "intervene.edges", "intervene.sets"
_MOST_NAMED = 5


@dataclass(frozen=True)
class Edge:
    """Head `up_layer.up_head` writes into a token of the pairs of head `layer.head`.

    Only pairs that attend from `dest_role` and to `src_role` count; None is any token.
    """

    layer: int
    head: int
    side: Side
    up_layer: int
    up_head: int
    dest_role: str | None = None
    src_role: str | None = None

    @property
    def label(self) -> str:
        """The edge in words, `4.1 -> 6.2 dest end`, with the role of the token written into."""
        own, other, other_side = (
            (self.dest_role, self.src_role, "src")
            if self.side == "dest"
            else (self.src_role, self.dest_role, "dest")
        )
        return (
            f"{self.up_layer}.{self.up_head} -> {self.layer}.{self.head} {self.side}"
            + (f" {own}" if own is not None else "")
            + (f", {other_side} {other}" if other is not None else "")
        )


@dataclass(frozen=True)
class EdgeSet:
    """Edges that are changed together."""

    name: str
    edges: tuple[Edge, ...]


def check_edges(given: str, key: str) -> None:
    """Refuses, before any work, what `intervene.edges` or `intervene.sets` (`key`) cannot mean."""
    needed = _needed(key)
    rows = check_rows(given, key, needed)
    of_heads = [row for row in rows if (_check_pattern(row) if is_pattern(row) else _edge(row))]
    if rows and not of_heads:
        raise ConfigError(f"{given}: no row is an edge from a head; add one")
    for row in of_heads if key == SETS else ():
        _set(row)


def choose_edges(con: duckdb.DuckDBPyConnection, given: str) -> tuple[Edge, ...]:
    """The edges that `intervene.edges` gives, in its order, each once (steps 1 and 2).

    ConfigError for rows that are no edges of the model in `store`.
    """
    found = (edge for _, edges in _edges(con, given, EDGES) for edge in edges)
    return tuple(dict.fromkeys(found))


def choose_sets(con: duckdb.DuckDBPyConnection, given: str | None) -> tuple[EdgeSet, ...]:
    """The sets that `intervene.sets` gives, in its order (steps 1 to 3); None gives none.

    A set without edges is one that the graph lacks a part of.
    """
    if given is None:
        return ()
    members: dict[str, dict[Edge, None]] = {}
    broken = {}
    for row, edges in _edges(con, given, SETS):
        members.setdefault(_set(row), {}).update(dict.fromkeys(edges))
        if is_pattern(row) and not edges:
            broken[_set(row)] = row.where
    for name, where in broken.items():
        logger.info(f"set left out: {name}; no shown edge is like {where}")
    return tuple(
        EdgeSet(name, () if name in broken else tuple(edges)) for name, edges in members.items()
    )


def edge_pairs(con: duckdb.DuckDBPyConnection, edges: Sequence[Edge]) -> pl.DataFrame:
    """The pairs that each edge changes (step 4), ordered by edge and pair.

    Columns: edge (its index in `edges`) pair_id prompt_id layer head dest src side up_layer
    up_head. ConfigError when an edge has none.
    """
    given = pl.DataFrame(
        [{"edge": i, **asdict(edge)} for i, edge in enumerate(edges)],
        schema={
            "edge": pl.Int64,
            **dict.fromkeys(("layer", "head", "up_layer", "up_head"), pl.Int64),
            **dict.fromkeys(("side", "dest_role", "src_role"), pl.String),
        },
    )
    pairs = _select(con, "edge_pairs", edges_given=given)
    found = set(pairs["edge"].to_list())
    without = [edge.label for i, edge in enumerate(edges) if i not in found]
    if without:
        more = len(without) - _MOST_NAMED
        told = "; ".join(without[:_MOST_NAMED]) + (f"; and {more} more" if more > 0 else "")
        raise ConfigError(
            f"no traced pair of the downstream head, at these roles, is in the store for: {told}. "
            "Choose edges of the graph (svt-sql RUN shown_edges), or trace from roots that reach "
            "these heads"
        )
    return pairs


def pair_slices(
    con: duckdb.DuckDBPyConnection, pair_ids: Sequence[int] | NDArray[np.int64]
) -> NDArray[np.bool_]:
    """[n, r] which slices are in the signal of each pair (step 5), in the order given.

    ConfigError when the store lacks the slices of a pair.
    """
    ((r,),) = con.execute("SELECT d_head FROM store.dump").fetchall()
    given = pl.DataFrame({"pair_id": pair_ids}, schema={"pair_id": pl.Int64})
    slices = _select(con, "pair_slices", pairs_given=given.with_row_index("place"))
    if slices.height != len(pair_ids) * r:
        raise ConfigError(
            f"the store holds {slices.height} slices of the {len(pair_ids)} pairs to be changed, "
            f"not {r} each; trace again over this store"
        )
    return slices["in_signal"].to_numpy().reshape(len(pair_ids), r)


def _select(con: duckdb.DuckDBPyConnection, name: str, **tables: pl.DataFrame) -> pl.DataFrame:
    """The rows of sql/intervene/<name>.sql, which reads `tables` by their names."""
    text = (sql_dir() / "intervene" / f"{name}.sql").read_text(encoding="utf-8")
    with lending(con, **{table: frame.to_arrow() for table, frame in tables.items()}):
        return con.sql(text).pl()


def _edges(
    con: duckdb.DuckDBPyConnection, given: str, key: str
) -> Iterator[tuple[Row, list[Edge]]]:
    """Steps 1 and 2, row by row, held against the model's shape."""
    (shape,) = con.execute("SELECT n_layers, n_heads FROM store.dump").fetchall()
    rows = rows_of(con, given, key, _needed(key))
    shown = run(con, "shown_edges").to_dicts() if any(map(is_pattern, rows)) else []
    for row in rows:
        written = matching(row, shown) if is_pattern(row) and _check_pattern(row) else [row]
        edges = [edge for each in written if (edge := _edge(each)) is not None]
        for edge in edges:
            ends = (edge.layer, edge.head), (edge.up_layer, edge.up_head)
            check_heads(row.where, ends, shape)
        if edges or is_pattern(row):
            yield row, edges


def _check_pattern(row: Row) -> bool:
    """Refuses cells that no edge could have; true otherwise."""
    for name in ("layer", "head", "up_layer", "up_head"):
        if row.values[name] != ANY:
            _count(row, name)
    if row.values["side"] != ANY:
        _side(row, row.values["side"])
    return True


def _needed(key: str) -> tuple[str, ...]:
    return ("set", *COLUMNS) if key == SETS else COLUMNS


def _edge(row: Row) -> Edge | None:
    """Step 2; None when the upstream is no head."""
    values = row.values
    if values.get("component", "head") != "head" or values["up_head"] is None:
        return None
    side = _side(row, values["side"])
    layer, head = _count(row, "layer"), _count(row, "head")
    up_layer, up_head = _count(row, "up_layer"), _count(row, "up_head")
    if up_layer >= layer:
        raise DataError(
            f"{row.where}: up_layer {up_layer} must lie below layer {layer}; head "
            f"{up_layer}.{up_head} cannot write for head {layer}.{head}"
        )
    roles = {name: _role(row, name) for name in ("dest_role", "src_role")}
    own, role = f"{side}_role", _role(row, "role")
    if role is not None and roles[own] not in (None, role):
        raise DataError(f"{row.where}: role {role} and {own} {roles[own]} differ; give one of them")
    roles[own] = role if role is not None else roles[own]
    return Edge(layer, head, side, up_layer, up_head, **roles)


def _side(row: Row, value: Any) -> Side:
    if value not in SIDES:
        raise DataError(f"{row.where}: side must be dest or src, not {_shown(value)}")
    return cast(Side, value)


def _set(row: Row) -> str:
    name = row.values["set"]
    if not isinstance(name, str) or not name:
        raise DataError(f"{row.where}: set must be a name, not {_shown(name)}")
    return name


def _count(row: Row, name: str) -> int:
    value = row.values[name]
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise DataError(f"{row.where}: {name} must be a count from 0, not {_shown(value)}")


def _role(row: Row, name: str) -> str | None:
    value = row.values.get(name)
    if value is not None and not isinstance(value, str):
        raise DataError(f"{row.where}: {name} must be the name of a role, not {_shown(value)}")
    return value


def _shown(value: Any) -> str:
    return "null" if value is None else str(value)
