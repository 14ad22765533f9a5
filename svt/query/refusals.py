"""Refuse requests that a store cannot answer, with the same messages before a dump and after it.

svt/stages/preflight.py passes the settings of the dump to be made, svt/query/ those of a store.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from svt.config import Head, TraceConfig
from svt.errors import ConfigError

OPTIONAL = {
    "dump.all_slices": ("contributions through all slices", ", or take experiment=all_slices"),
    "dump.effects": ("the attention weight without each upstream component", ""),
}
"""By setting of the dump: the data that a store lacks without it, and another way to set it."""


def check_heads(key: str, heads: Iterable[Head], shape: tuple[int, int]) -> None:
    """Raise ConfigError for the first of `heads` outside a model of `shape` (layers, heads).

    `key` is where the head is named: a setting, or a file and its row.
    """
    n_layers, n_heads = shape
    for layer, head in heads:
        if not (0 <= layer < n_layers and 0 <= head < n_heads):
            raise ConfigError(
                f"{key}: there is no head {layer}.{head}; the model has layers 0 to {n_layers - 1} "
                f"and heads 0 to {n_heads - 1}"
            )


def check_roles(trace: TraceConfig, roles: Iterable[str]) -> None:
    """Raise ConfigError unless the root's tokens have one of `roles`, the roles of the prompts."""
    known = sorted(roles)
    if not known:
        raise ConfigError(
            f"trace.root_dest={trace.root_dest}: the prompts have no roles, so there is no token "
            'to start at; use a dataset with roles, or dump only: "stages=[dump]"'
        )
    for key in ("root_dest", "root_src"):
        role = getattr(trace, key)
        if role not in known and (key, role) != ("root_src", "any"):
            raise ConfigError(
                f"trace.{key}={role}: no such role; the prompts have {', '.join(known)}"
            )


def check_trace(trace: TraceConfig, dump: Mapping[str, Any]) -> None:
    """Raise ConfigError for a trace that a store with these `dump` settings cannot support."""
    components, min_weight = dump.get("components", ["head"]), dump.get("min_weight", 0.0)
    if trace.components == "head" and "head" not in components:
        raise ConfigError(
            f"trace.components=head, but dump.components=[{','.join(components)}] stores no heads; "
            "make a new dump with head among dump.components"
        )
    if trace.firing_weight < min_weight:
        raise ConfigError(
            f"trace.firing_weight={trace.firing_weight:g} lies below dump.min_weight="
            f"{min_weight:g}: weaker pairs are not in the store; raise trace.firing_weight, or "
            "make a new dump with a lower dump.min_weight"
        )
    if trace.slices == "all":
        check_stored("trace.slices=all", "dump.all_slices", dump.get("all_slices", True))
    if trace.rule == "effect":
        check_stored("trace.rule=effect", "dump.effects", dump.get("effects", True))


def check_drawn_edges(edges: str | None, stored: bool, imported: str | None = None) -> None:
    """Raise ConfigError for `edges`=effect (`chart.edges`) unless effects are `stored`."""
    if edges != "effect":
        return
    if imported is not None:
        raise ConfigError(
            f"chart.edges=effect: {imported} is imported and has no effects; leave it out"
        )
    check_stored("chart.edges=effect", "dump.effects", stored)


def check_stored(what: str, setting: str, stored: bool) -> None:
    """Raise ConfigError unless the data of `setting` (in OPTIONAL) that `what` needs is stored."""
    if not stored:
        lacking, remedy = OPTIONAL[setting]
        raise ConfigError(
            f"{what} needs {lacking}, which {setting}=false does not store; make a new run with "
            f"{setting}=true{remedy}"
        )
