"""Frames as the queries on interventions give them, and what their panels draw."""

from typing import Any

import polars as pl

EFFECTS = {
    "label": pl.String,
    "layer": pl.UInt8,
    "head": pl.UInt8,
    "scope": pl.Enum(["global", "local_qk", "local_qkv"]),
    "kind": pl.Enum(["ablate", "boost"]),
    "n_prompts": pl.Int64,
    "n_pairs": pl.Int64,
    "weight": pl.Float64,
    "effect": pl.Float64,
    "effect_low": pl.Float64,
    "effect_high": pl.Float64,
    "score_effect": pl.Float64,
    "weight_effect": pl.Float64,
    "random_effect": pl.Float64,
    "random_low": pl.Float64,
    "random_high": pl.Float64,
    "n_random": pl.Int64,
    "beyond": pl.Boolean,
    "helps": pl.Boolean,
    "p_value": pl.Float64,
    "q_value": pl.Float64,
}


def effects_frame(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """Rows of `edge_effects`: what a row does not name is that of a middling edge into 4.1."""
    usual = {"layer": 4, "head": 1, "scope": "global", "kind": "ablate", "n_prompts": 9}
    usual |= {"n_pairs": 12, "weight": 1.0, "effect": -0.5, "effect_low": -0.6}
    usual |= {"effect_high": -0.4, "score_effect": -0.25, "weight_effect": -0.1, "n_random": 5}
    usual |= {"random_effect": 0.0, "random_low": -0.1, "random_high": 0.1, "beyond": True}
    usual |= {"p_value": 1 / 6, "q_value": 1 / 6}
    whole = [usual | row for row in rows]
    helps = [_helps(row) if row["beyond"] and row["effect"] else None for row in whole]
    return pl.DataFrame(whole, schema=EFFECTS).with_columns(
        helps=pl.Series(helps, dtype=pl.Boolean)
    )


def _helps(row: dict[str, Any]) -> bool:
    return bool((row["effect"] < 0) == (row["kind"] == "ablate"))


def drawn(spec: dict[str, Any], panel: dict[str, Any], layer: dict[str, Any]) -> list[dict]:
    """The rows of a layer of a panel."""
    data = layer.get("data") or panel.get("data") or spec["data"]
    return spec["datasets"][data["name"]] if "name" in data else data["values"]


def marks(panel: dict[str, Any], mark: str) -> list[dict[str, Any]]:
    """The layers of a panel with that kind of mark, the rule at nothing left out."""
    return [
        layer
        for layer in panel["layer"]
        if layer["mark"]["type"] == mark and layer["mark"].get("style") != "threshold"
    ]
