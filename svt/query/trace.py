"""Trace circuits in a store: Algorithm 1 of the paper, in SQL.

1. A pair fires when it is eligible and its weight is at least `firing_weight` (section 4.3).
2. The significant upstream components of each side of a firing pair are, with rule=coverage, the
   shortest prefix in descending order of contribution whose sum exceeds `coverage` of the total;
   with rule=effect, the components whose removal lowers the pair's weight by at least `min_effect`
   (sql/macros/_significant_edges.sql).
3. Roots are `trace.roots`, or selected by the query `auto_roots`, which does not restrict the
   source token. Each root that fires from `root_dest` to `root_src` starts a trace in every prompt.
4. A significant head continues the trace when it fires with the token it writes to as its dest.
   Contributions are ordered only for pairs that the trace reaches, level by level. Visits are
   summed by path length, not path by path (sql/macros/traced.sql).
5. Edges are counted over prompts by the role of the token they write to (sql/macros/graph.sql). For
   a token without a role, trace.unlabelled decides: left out (drop), its distance from the end
   (offset: end-3), or its text; auto leaves it out where prompts have roles besides `end`.
6. The firings that were reached are counted over prompts by the roles of their dest and src.
7. Prompts are grouped by the edges of their traces (svt/query/families.py).
"""

import json
from dataclasses import dataclass

import duckdb

from svt.config import Head, TraceConfig
from svt.db.scripts import list_scripts, run_script
from svt.errors import ConfigError
from svt.query.families import write_families
from svt.query.named import run
from svt.query.refusals import check_heads, check_roles, check_trace

_TABLES = ("places", "trace_pairs", "trace_edges", "graph_edges", "graph_firings", "families")


@dataclass(frozen=True)
class TraceResult:
    """The roots that fire, in their original order, and warnings for the reader."""

    roots: tuple[Head, ...]
    warnings: tuple[str, ...]


def trace(con: duckdb.DuckDBPyConnection, config: TraceConfig) -> TraceResult:
    """Fill the trace tables of `results` from `store`.

    ConfigError when the store does not support the settings, or no root fires.
    """
    _check(con, config)
    roots = _choose_roots(con, config) if config.roots == "auto" else config.roots
    roots = tuple(dict.fromkeys(roots))
    for table in _TABLES:
        con.execute(f"DELETE FROM results.{table}")
    settings = {**vars(config), "roots": [list(root) for root in roots]}
    for file in list_scripts("trace"):  # 1 to 6
        run_script(con, file, settings)
    fired = set(con.execute("SELECT DISTINCT root_layer, root_head FROM traced").fetchall())
    con.execute("DROP TABLE traced")
    write_families(con)  # 7
    silent = [root for root in roots if root not in fired]
    if not fired:
        heads = ", ".join(f"{layer}.{head}" for layer, head in silent)
        raise ConfigError(
            f"no root fires: {heads} never attends from {config.root_dest} to "
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


def _check(con: duckdb.DuckDBPyConnection, config: TraceConfig) -> None:
    """Raise ConfigError when the store does not support the settings."""
    ((dump, n_layers, n_heads),) = con.execute(
        "SELECT config->>'$.dump', n_layers, n_heads FROM store.dump"
    ).fetchall()
    check_trace(config, json.loads(dump or "{}"))
    roles = {role for (role,) in con.execute("SELECT DISTINCT role FROM store.roles").fetchall()}
    check_roles(config, roles)
    if config.roots != "auto":
        check_heads("trace.roots", config.roots, (n_layers, n_heads))


def _choose_roots(con: duckdb.DuckDBPyConnection, config: TraceConfig) -> tuple[Head, ...]:
    if not con.execute("SELECT 1 FROM store.head_effects LIMIT 1").fetchall():
        raise ConfigError(
            "trace.roots=auto needs prompts with answers, and the store has no head effects; "
            'give the roots, for example "trace.roots=[[9,6],[10,0]]"'
        )
    roots = run(con, "auto_roots", firing_weight=config.firing_weight, root_dest=config.root_dest)
    if roots.is_empty():
        raise ConfigError(
            "trace.roots=auto finds none: no head with a positive effect on the answer fires at "
            f"{config.root_dest} with weight {config.firing_weight:g} or more in half of the "
            "prompts; give trace.roots or a lower trace.firing_weight"
        )
    return tuple((layer, head) for layer, head in roots.select("layer", "head").iter_rows())
