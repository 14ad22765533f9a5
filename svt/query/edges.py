"""Choose the edges to intervene on, and the pairs that each of them changes.

1. `intervene.edges` and `intervene.sets` are a named query, a CSV file or SQL
   (svt/query/edge_rows.py). Their rows have the columns CELLS and optionally `component`,
   `dest_role`, `src_role` and `role`, the role of the token that the edge writes to.
2. A row whose upstream component is a head is an edge; other rows are skipped. A row of a file with
   `*` stands for every shown edge that it matches (svt/query/edge_patterns.py). An invalid row is
   refused by row and column.
3. Rows with the same `set` form a set, whose edges are changed together. A set with a row that
   matches no shown edge is incomplete and has no edges.
4. An edge changes every pair of its downstream head, between tokens with its roles, that the trace
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

from svt.db.catalog import register_tables
from svt.errors import ConfigError, DataError
from svt.paths import read_sql
from svt.query.edge_patterns import ANY, CELLS, expand_pattern, is_pattern
from svt.query.edge_rows import Row, check_rows, read_edge_rows
from svt.query.named import run
from svt.query.refusals import check_heads
from svt.words import SIDES, Side

logger = logging.getLogger(__name__)

EDGES, SETS = "intervene.edges", "intervene.sets"
_MOST_NAMED = 5


@dataclass(frozen=True)
class Edge:
    """An edge from head `up_layer.up_head` into one side of the pairs of head `layer.head`.

    It covers the pairs from a token with `dest_role` to one with `src_role`; None is any token.
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
        """The edge as text, `4.1 -> 6.2 dest end`, with the role of the token it writes to."""
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


def check_edges(source: str, key: str) -> None:
    """Raise SvtError if `source`, the value of `intervene.edges` or `intervene.sets`, is invalid.

    `key` is EDGES or SETS. A named query or SQL is checked without running it.
    """
    rows = check_rows(source, key, _required_columns(key))
    edges = [row for row in rows if (_check_pattern(row) if is_pattern(row) else _parse_edge(row))]
    if rows and not edges:
        raise ConfigError(f"{source}: no row is an edge from a head; add one")
    for row in edges if key == SETS else ():
        _parse_set(row)


def choose_edges(con: duckdb.DuckDBPyConnection, source: str) -> tuple[Edge, ...]:
    """Return the distinct edges of `source`, in its order (steps 1 and 2).

    ConfigError for rows that are not edges of the model in `store`.
    """
    all_edges = (edge for _, edges in _read_edges(con, source, EDGES) for edge in edges)
    return tuple(dict.fromkeys(all_edges))


def choose_sets(con: duckdb.DuckDBPyConnection, source: str | None) -> tuple[EdgeSet, ...]:
    """Return the sets of `source`, in its order, none for None (steps 1 to 3).

    An incomplete set has no edges.
    """
    if source is None:
        return ()
    members: dict[str, dict[Edge, None]] = {}
    incomplete = {}
    for row, edges in _read_edges(con, source, SETS):
        members.setdefault(_parse_set(row), {}).update(dict.fromkeys(edges))
        if is_pattern(row) and not edges:
            incomplete[_parse_set(row)] = row.where
    for name, where in incomplete.items():
        logger.info(f"set left out: {name}; no shown edge matches {where}")
    return tuple(
        EdgeSet(name, () if name in incomplete else tuple(edges)) for name, edges in members.items()
    )


def select_pairs(con: duckdb.DuckDBPyConnection, edges: Sequence[Edge]) -> pl.DataFrame:
    """Return the pairs that each edge changes, ordered by edge and pair (step 4).

    Columns: edge (index into `edges`) pair_id prompt_id layer head dest src side up_layer up_head.
    ConfigError when an edge has no pair.
    """
    frame = pl.DataFrame(
        [{"edge": i, **asdict(edge)} for i, edge in enumerate(edges)],
        schema={
            "edge": pl.Int64,
            **dict.fromkeys(("layer", "head", "up_layer", "up_head"), pl.Int64),
            **dict.fromkeys(("side", "dest_role", "src_role"), pl.String),
        },
    )
    pairs = _run_sql(con, "edge_pairs", chosen_edges=frame)
    with_pairs = set(pairs["edge"].to_list())
    without = [edge.label for i, edge in enumerate(edges) if i not in with_pairs]
    if without:
        more = len(without) - _MOST_NAMED
        labels = "; ".join(without[:_MOST_NAMED]) + (f"; and {more} more" if more > 0 else "")
        raise ConfigError(
            "no traced pair of the downstream head, at these roles, is in the store for: "
            f"{labels}. Choose edges of the graph (svt-sql RUN shown_edges), or trace from roots "
            "that reach these heads"
        )
    return pairs


def load_signal_slices(
    con: duckdb.DuckDBPyConnection, pair_ids: Sequence[int] | NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return [n, r] whether a slice is in the signal of each of the n pairs (step 5).

    ConfigError when the store lacks the slices of a pair.
    """
    ((r,),) = con.execute("SELECT d_head FROM store.dump").fetchall()
    frame = pl.DataFrame({"pair_id": pair_ids}, schema={"pair_id": pl.Int64})
    slices = _run_sql(con, "pair_slices", chosen_pairs=frame.with_row_index("place"))
    if slices.height != len(pair_ids) * r:
        raise ConfigError(
            f"the store holds {slices.height} slices of the {len(pair_ids)} pairs to be changed, "
            f"not {r} each; repeat the trace over this store"
        )
    return slices["in_signal"].to_numpy().reshape(len(pair_ids), r)


def _run_sql(con: duckdb.DuckDBPyConnection, name: str, **tables: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of sql/intervene/<name>.sql, which reads `tables` by their names."""
    with register_tables(con, **tables):
        return con.sql(read_sql(f"intervene/{name}")).pl()


def _read_edges(
    con: duckdb.DuckDBPyConnection, source: str, key: str
) -> Iterator[tuple[Row, list[Edge]]]:
    """Yield the rows of `source` with their edges, which lie within the model (steps 1 and 2)."""
    (shape,) = con.execute("SELECT n_layers, n_heads FROM store.dump").fetchall()
    rows = read_edge_rows(con, source, key, _required_columns(key))
    shown = run(con, "shown_edges").to_dicts() if any(map(is_pattern, rows)) else []
    for row in rows:
        expanded = expand_pattern(row, shown) if is_pattern(row) and _check_pattern(row) else [row]
        edges = [edge for each in expanded if (edge := _parse_edge(each)) is not None]
        for edge in edges:
            ends = (edge.layer, edge.head), (edge.up_layer, edge.up_head)
            check_heads(row.where, ends, shape)
        if edges or is_pattern(row):
            yield row, edges


def _check_pattern(row: Row) -> bool:
    """Return True; DataError for a cell that no edge can have."""
    for name in ("layer", "head", "up_layer", "up_head"):
        if row.values[name] != ANY:
            _parse_index(row, name)
    if row.values["side"] != ANY:
        _parse_side(row)
    return True


def _required_columns(key: str) -> tuple[str, ...]:
    return ("set", *CELLS) if key == SETS else CELLS


def _parse_edge(row: Row) -> Edge | None:
    """Return the edge of a row, None when its upstream component is not a head (step 2)."""
    values = row.values
    if values.get("component", "head") != "head" or values["up_head"] is None:
        return None
    side = _parse_side(row)
    layer, head = _parse_index(row, "layer"), _parse_index(row, "head")
    up_layer, up_head = _parse_index(row, "up_layer"), _parse_index(row, "up_head")
    if up_layer >= layer:
        raise DataError(
            f"{row.where}: up_layer {up_layer} must lie below layer {layer}; head "
            f"{up_layer}.{up_head} cannot write for head {layer}.{head}"
        )
    roles = {name: _parse_role(row, name) for name in ("dest_role", "src_role")}
    own, role = f"{side}_role", _parse_role(row, "role")
    if role is not None and roles[own] not in (None, role):
        raise DataError(f"{row.where}: role {role} and {own} {roles[own]} differ; give one of them")
    roles[own] = role if role is not None else roles[own]
    return Edge(layer, head, side, up_layer, up_head, **roles)


def _parse_side(row: Row) -> Side:
    value = row.values["side"]
    if value not in SIDES:
        raise DataError(f"{row.where}: side must be dest or src, not {_format_value(value)}")
    return cast(Side, value)


def _parse_set(row: Row) -> str:
    name = row.values["set"]
    if not isinstance(name, str) or not name:
        raise DataError(f"{row.where}: set must be a name, not {_format_value(name)}")
    return name


def _parse_index(row: Row, name: str) -> int:
    value = row.values[name]
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise DataError(f"{row.where}: {name} must be a count from 0, not {_format_value(value)}")


def _parse_role(row: Row, name: str) -> str | None:
    value = row.values.get(name)
    if value is not None and not isinstance(value, str):
        raise DataError(
            f"{row.where}: {name} must be the name of a role, not {_format_value(value)}"
        )
    return value


def _format_value(value: Any) -> str:
    return "null" if value is None else str(value)
