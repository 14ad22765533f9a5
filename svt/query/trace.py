"""The trace: Algorithm 1 of the paper over a whole store, in SQL.

1. A pair fires when it is eligible and its weight is at least `firing_weight` (section 4.3).
2. The significant upstream components of each side of a firing pair are the shortest prefix, by
   falling contribution, that exceeds `coverage` of their sum (sql/macros/_significant_edges.sql).
3. Roots are given, or found by the query `auto_roots`, which asks only where they fire from. Each
   that fires from `root_dest` onto `root_src` starts a trace of its own in every prompt.
4. Each significant head that fires with the token it writes to as its dest continues the trace.
   Only the pairs that it reaches are ordered, level by level. Visits are summed path length by path
   length, never path by path (sql/macros/traced.sql).
5. Edges are counted over prompts by the role of the token they write to (sql/macros/graph.sql).
6. The firings that were reached are counted over prompts by the roles they attend between.
"""

from dataclasses import dataclass
from typing import Any

import duckdb

from svt.config import Head, TraceConfig
from svt.errors import SvtError
from svt.paths import sql_dir
from svt.query.named import check_all_slices, run

_TABLES = ("trace_pairs", "trace_edges", "graph_edges", "graph_firings")


@dataclass(frozen=True)
class TraceResult:
    """The roots that fire, in the order given or found, and what the reader should know."""

    roots: tuple[Head, ...]
    warnings: tuple[str, ...]


def trace(con: duckdb.DuckDBPyConnection, config: TraceConfig) -> TraceResult:
    """Fills trace_pairs, trace_edges, graph_edges and graph_firings of `results` from `store`.

    SvtError when the store cannot answer, or when no root fires.
    """
    _refuse_what_is_not_stored(con, config)
    if config.slices == "all":
        check_all_slices(con, "trace.slices=all")
    _known_role(con, "root_dest", config.root_dest)
    if config.root_src != "any":
        _known_role(con, "root_src", config.root_src)
    roots = _auto_roots(con, config) if config.roots == "auto" else _given_roots(con, config.roots)
    for table in _TABLES:
        con.execute(f"DELETE FROM results.{table}")
    for file in sorted((sql_dir() / "trace").glob("*.sql")):  # 1 to 6
        text = file.read_text(encoding="utf-8")
        con.execute(text, _settings(config, roots) if "$" in text else None)
    fired = set(con.execute("SELECT DISTINCT root_layer, root_head FROM traced").fetchall())
    con.execute("DROP TABLE traced")
    silent = [root for root in roots if root not in fired]
    if not fired:
        raise SvtError(
            f"no root fires: {_heads(silent)} never attends from {config.root_dest} to "
            f"{config.root_src} with weight {config.firing_weight:g} or more; give other "
            "trace.roots or a lower trace.firing_weight (svt-sql STORE firings shows where heads "
            "fire)"
        )
    return TraceResult(
        roots=tuple(root for root in roots if root in fired),
        warnings=tuple(
            f"root {layer}.{head} never fires from {config.root_dest} to {config.root_src}; "
            "the trace goes on without it"
            for layer, head in silent
        ),
    )


def _settings(config: TraceConfig, roots: tuple[Head, ...]) -> dict[str, Any]:
    return {
        "roots": [list(root) for root in roots],
        "root_dest": config.root_dest,
        "root_src": config.root_src,
        "firing_weight": config.firing_weight,
        "coverage": config.coverage,
        "slices": config.slices,
        "nonpositive": config.nonpositive,
        "components": config.components,
        "offset": config.offset,
    }


def _refuse_what_is_not_stored(con: duckdb.DuckDBPyConnection, config: TraceConfig) -> None:
    least, stored = con.execute(
        "SELECT (config->>'$.dump.min_weight')::DOUBLE, "
        "(config->'$.dump.components')::VARCHAR[] FROM store.dump"
    ).fetchall()[0]
    if config.components == "head" and stored is not None and "head" not in stored:
        raise SvtError(
            "the store holds no heads as upstream components "
            f"(dump.components=[{','.join(stored)}]); dump again with head among them"
        )
    if least is not None and config.firing_weight < least:
        raise SvtError(
            f"trace.firing_weight={config.firing_weight:g} lies below the store's "
            f"dump.min_weight={least:g}: weaker pairs have no upstream contributions there; "
            "raise the one or dump again with a lower other"
        )


def _known_role(con: duckdb.DuckDBPyConnection, key: str, role: str) -> None:
    roles = [
        r for (r,) in con.execute("SELECT DISTINCT role FROM store.roles ORDER BY 1").fetchall()
    ]
    if not roles:
        raise SvtError(
            f"trace.{key}={role}: the store's prompts have no roles, so there is no token to start "
            "at; use a dataset with roles"
        )
    if role not in roles:
        raise SvtError(f"trace.{key}={role}: no such role; the store has {', '.join(roles)}")


def _given_roots(con: duckdb.DuckDBPyConnection, roots: tuple[Head, ...]) -> tuple[Head, ...]:
    ((n_layers, n_heads),) = con.execute("SELECT n_layers, n_heads FROM store.dump").fetchall()
    for layer, head in roots:
        if not (0 <= layer < n_layers and 0 <= head < n_heads):
            raise SvtError(
                f"trace.roots: there is no head [{layer},{head}]; the model has layers 0 to "
                f"{n_layers - 1} and heads 0 to {n_heads - 1}"
            )
    return tuple(dict.fromkeys((layer, head) for layer, head in roots))


def _auto_roots(con: duckdb.DuckDBPyConnection, config: TraceConfig) -> tuple[Head, ...]:
    if not con.execute("SELECT 1 FROM store.head_effects LIMIT 1").fetchall():
        raise SvtError(
            "trace.roots=auto needs prompts with answers, and the store has no head effects; "
            'give the roots, for example "trace.roots=[[9,6],[10,0]]"'
        )
    found = run(
        con,
        "auto_roots",
        firing_weight=config.firing_weight,
        root_dest=config.root_dest,
    )
    if found.is_empty():
        raise SvtError(
            "trace.roots=auto finds none: no head with a positive effect on the answer fires at "
            f"{config.root_dest} with weight {config.firing_weight:g} or more in half of the "
            "prompts; give trace.roots or a lower trace.firing_weight"
        )
    return tuple((layer, head) for layer, head in found.select("layer", "head").iter_rows())


def _heads(heads: list[Head]) -> str:
    return ", ".join(f"{layer}.{head}" for layer, head in heads)
