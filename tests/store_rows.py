"""A store made of a handful of literal rows, for tests of SQL.

`StoreRows` keeps what the rows must agree on (pair_id, lists, sums) and leaves the rest to the
test.
"""

import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow as pa

from svt.db.catalog import create_tables
from svt.db.connect import load_macros, set_search_path

COMPONENTS = ("head", "mlp", "embed", "pos_embed", "bias")
N_CTX = 32
Up = tuple[Any, ...]  # (layer, head) or (component,) or (component, layer)

_DEFAULTS: dict[str, dict[str, Any]] = {
    "dump": {
        "svt_version": "0", "schema_version": 4, "identity": "i", "model_name": "m",
        "weights_fingerprint": "w", "n_layers": 12, "n_heads": 12, "d_model": 8, "d_head": 2,
        "n_ctx": N_CTX,
        "config": '{"dump": {"min_weight": 0.1, "components": ["head"], "all_slices": true}}',
        "library_versions": "{}", "seconds": "{}",
    },
    "run": {"svt_version": "0", "config": "{}", "status": "done"},
}  # fmt: skip


def insert(con: duckdb.DuckDBPyConnection, table: str, rows: Sequence[Mapping[str, Any]]) -> None:
    """Adds rows to `catalog.table`; columns not named take the fixture's default or null."""
    if rows:
        defaults = _DEFAULTS.get(table.split(".")[1], {})
        names = dict.fromkeys(name for row in [defaults, *rows] for name in row)
        arrow = pa.table({name: [{**defaults, **row}.get(name) for row in rows] for name in names})
        con.register("rows_given", arrow)
        con.execute(f"INSERT INTO {table} BY NAME SELECT * FROM rows_given")
        con.unregister("rows_given")


@cache
def _empty() -> TemporaryDirectory[str]:
    """A folder with a store and results without rows: to copy one takes a fifth of making it."""
    folder = TemporaryDirectory()
    with duckdb.connect() as con:
        for kind in ("store", "results"):
            con.execute(f"ATTACH '{folder.name}/{kind}.duckdb' AS {kind}")
            create_tables(con, kind, kind)  # type: ignore[arg-type]
    return folder


def connection(
    store: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    results: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    store_file: Path | str = ":memory:",
    results_file: Path | str = ":memory:",
) -> duckdb.DuckDBPyConnection:
    """A connection as `svt.db.connect.connect` makes it, on tables with the rows given."""
    con = duckdb.connect(config={"python_enable_replacements": "false"})
    for catalog, file in (("store", store_file), ("results", results_file)):
        con.execute(f"ATTACH '{file}' AS {catalog}")
        con.execute(f"ATTACH '{_empty().name}/{catalog}.duckdb' AS empty (READ_ONLY)")
        con.execute(f"COPY FROM DATABASE empty TO {catalog} (SCHEMA)")
        con.execute("DETACH empty")
    for table, rows in {"dump": [{}], **(store or {})}.items():
        insert(con, f"store.{table}", rows)
    places = {"places": (store or {}).get("roles", [])}
    for table, rows in {**places, **(results or {})}.items():
        insert(con, f"results.{table}", rows)
    set_search_path(con)
    load_macros(con)
    return con


class StoreRows:
    """Collects rows; `tables()` gives them as `connection` takes them."""

    def __init__(
        self,
        n_layers: int = 12,
        n_heads: int = 12,
        min_weight: float = 0.1,
        all_slices: bool = True,
        effects: bool = False,
    ) -> None:
        self.n_layers, self.n_heads, self.min_weight = n_layers, n_heads, min_weight
        self.all_slices, self.effects = all_slices, effects
        self._tables: dict[str, list[dict[str, Any]]] = {}

    def add(self, table: str, **row: Any) -> None:
        self._tables.setdefault(table, []).append(row)

    def prompt(
        self,
        prompt_id: int,
        roles: Mapping[str, int] | None = None,
        n_tokens: int = 16,
        answer: Mapping[int, str] | None = None,
        distractor: Mapping[int, str] | None = None,
        **row: Any,
    ) -> None:
        """`answer` and `distractor` are token ids and what they say."""
        for kind, tokens in (("answer", answer or {}), ("distractor", distractor or {})):
            row[kind] = "|".join(sorted(tokens.values())) or None
            for token_id, token in tokens.items():
                self.add("answers", prompt_id=prompt_id, kind=kind, token_id=token_id, token=token)
        self.add("prompts", prompt_id=prompt_id, n_tokens=n_tokens, **row)
        for pos in range(n_tokens):
            self.add("tokens", prompt_id=prompt_id, pos=pos, token_id=pos, token=f"t{pos}")
        for role, pos in (roles or {}).items():
            self.add("roles", prompt_id=prompt_id, role=role, pos=pos)

    def pair_id(self, prompt_id: int, layer: int, head: int, dest: int, src: int) -> int:
        return (
            ((prompt_id * self.n_layers + layer) * self.n_heads + head) * N_CTX + dest
        ) * N_CTX + src

    def pair(
        self,
        at: tuple[int, int, int, int, int],
        weight: float = 0.9,
        score: float = 1.0,
        dest: Mapping[Up, float | tuple[float, ...]] | None = None,
        src: Mapping[Up, float | tuple[float, ...]] | None = None,
        slices: Sequence[float] = (1.0, 0.5),
        n_slices: int = 1,
        offsets: tuple[float, float, float, float] = (0.0, 0.0, 0.0, 0.0),
    ) -> int:
        """One pair at (prompt, layer, head, dest, src) with its slices, upstream and sides.

        `dest` and `src` map an upstream component to its contribution, or to (contribution,
        contribution_all), or to these and the weight without it, which else is the pair's own.
        `offsets` are those of dest, src, dest over all slices, src over all.
        """
        prompt_id, layer, head, i, j = at
        pair_id = self.pair_id(*at)
        stored = weight >= self.min_weight
        names = ("dest_offset", "src_offset", "dest_offset_all", "src_offset_all")
        self.add(
            "pairs", pair_id=pair_id, prompt_id=prompt_id, layer=layer, head=head, dest=i, src=j,
            weight=weight, score=score, omega_score=float(sum(slices)), residual=0.0,
            eligible=score >= 0 and j > 0, sampled=not stored, n_slices=n_slices,
            dest_scale=1.0, src_scale=1.0, **dict(zip(names, offsets, strict=True)),
        )  # fmt: skip
        falling = sorted(range(len(slices)), key=lambda k: (-slices[k], k))
        self.add(  # the signal rule's order for a score that is not negative
            "pair_slices", pair_id=pair_id, dest_coords=[1.0] * len(slices),
            src_coords=list(slices), signal=falling[:n_slices],
        )  # fmt: skip
        if stored:
            self._side(pair_id, layer, weight, "dest", dest or {})
            self._side(pair_id, layer, weight, "src", src or {})
        return pair_id

    def singular_values(self, d_head: int = 2) -> None:
        """Those of every head: 2, 1 for d_head 2."""
        for layer in range(self.n_layers):
            for head in range(self.n_heads):
                for k in range(d_head):
                    self.add(
                        "singular_values", layer=layer, head=head, k=k, sigma=float(d_head - k),
                        u_last=0.5, v_last=0.5,
                    )  # fmt: skip

    def _side(
        self,
        pair_id: int,
        layer: int,
        weight: float,
        side: str,
        ups: Mapping[Up, float | tuple[float, ...]],
    ) -> None:
        """Writers below the layer that `ups` does not name have no entry: null."""
        both = {
            up: (*c, weight)[:3] if isinstance(c, tuple) else (c, c, weight)
            for up, c in ups.items()
        }
        heads = [both[up] for up in both if isinstance(up[0], int)]
        for component in dict.fromkeys("head" if isinstance(up[0], int) else up[0] for up in both):
            given = [
                both.get((at, head) if component == "head" else _named(component, at))
                for at, head in self._writers(component)
                if at is None or at < layer
            ]
            self.add(
                "pair_upstream", pair_id=pair_id, side=side, component=component,
                contributions=[c and c[0] for c in given],
                contributions_all=[c and c[1] for c in given] if self.all_slices else None,
                weights_without=[c and round(c[2] * 65535) for c in given]
                if self.effects
                else None,
            )  # fmt: skip
        self.add(
            "sides", pair_id=pair_id, side=side, n_heads=len(heads),
            total=float(sum(signal for signal, *_ in heads)),
            total_all=float(sum(every for _, every, _ in heads)) if self.all_slices else None,
        )  # fmt: skip

    def _components(self) -> list[str]:
        """Those that some pair has lists of, and heads."""
        stored = {row["component"] for row in self._tables.get("pair_upstream", [])} | {"head"}
        return [component for component in COMPONENTS if component in stored]

    def _writers(self, component: str) -> list[tuple[int | None, int | None]]:
        """(layer, head) of every writer of a component."""
        if component in ("embed", "pos_embed"):
            return [(None, None)]
        heads = range(self.n_heads) if component == "head" else [None]
        return [(layer, head) for layer in range(self.n_layers) for head in heads]

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        shape = {"n_layers": self.n_layers, "n_heads": self.n_heads}
        dump = {
            "min_weight": self.min_weight, "components": ["head"], "pairs": "all",
            "all_slices": self.all_slices, "effects": self.effects,
        }  # fmt: skip
        writers = [
            {"component": component, "writer": writer, "up_layer": layer, "up_head": head}
            for component in self._components()
            for writer, (layer, head) in enumerate(self._writers(component))
        ]
        return {
            "dump": [{**shape, "config": json.dumps({"dump": dump})}],
            "writers": writers,
            **self._tables,
        }

    def connect(self, **results: Sequence[Mapping[str, Any]]) -> duckdb.DuckDBPyConnection:
        return connection(self.tables(), results)


def _named(component: str, layer: int | None) -> Up:
    return (component,) if layer is None else (component, layer)


class InterventionRows:
    """Collects interventions and their effects; `tables` are rows as `connection` takes them."""

    def __init__(self) -> None:
        self.tables: dict[str, list[dict[str, Any]]] = {
            "interventions": [], "intervention_edges": [], "intervention_effects": [],
        }  # fmt: skip

    def add(
        self,
        *edges: Mapping[str, Any],
        effects: Mapping[tuple[int, int], float | Mapping[str, Any] | None],
        name: str | None = None,
        seed: int | None = None,
        **more: Any,
    ) -> int:
        """One intervention, on a single edge or on the set `name`; its number.

        An edge has the columns of intervention_edges. `effects` maps (prompt, pair) to the change
        of a logit difference of 2, or to columns of intervention_effects. `seed` makes a control.
        """
        number = len(self.tables["interventions"])
        single = edges[0] if name is None else {}
        self.tables["interventions"].append(
            {
                "intervention_id": number, "label": name or edge_label(single), **single,
                "scope": "global", "kind": "ablate", "strength": 1.0, "seed": seed,
                "control": "signal" if seed is None else "random", "n_pairs": len(effects), **more,
            }
        )  # fmt: skip
        for edge in edges:
            self.tables["intervention_edges"].append({"intervention_id": number, **edge})
        for (prompt_id, pair_id), given in effects.items():
            row = given if isinstance(given, Mapping) else {"effect": given}
            columns = {name: value for name, value in row.items() if name != "effect"}
            effect = row.get("effect", 0.0)
            self.tables["intervention_effects"].append(
                {
                    "intervention_id": number, "prompt_id": prompt_id, "pair_id": pair_id,
                    "n_slices": 1, "logit_diff": None if effect is None else 2.0,
                    "logit_diff_after": None if effect is None else 2.0 + effect, "score": 1.0,
                    "score_after": 1.0, "weight": 0.5, "weight_after": 0.5, "cosine": 1.0,
                    "norm_ratio": 1.0, "resid_cosine": 1.0, "resid_norm_ratio": 1.0, **columns,
                }
            )  # fmt: skip
        return number


def edge_label(edge: Mapping[str, Any]) -> str:
    up = f"{edge['up_layer']}.{edge['up_head']}"
    return f"{up} -> {edge['layer']}.{edge['head']} {edge['side']}"
