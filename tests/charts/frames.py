"""Frames as the queries give them."""

import re

import polars as pl


def edges_frame(rows: list[tuple]) -> pl.DataFrame:
    """As `graph_links` gives them; of the last two roles one is the edge's own."""
    schema = {
        "up_layer": pl.UInt8,
        "up_head": pl.UInt8,
        "component": pl.String,
        "layer": pl.UInt8,
        "head": pl.UInt8,
        "side": pl.String,
        "role": pl.String,
        "n_prompts": pl.Int64,
        "n_firings": pl.Int64,
        "n_visits": pl.Int64,
        "total": pl.Float64,
        "dest_role": pl.String,
        "src_role": pl.String,
    }
    return pl.DataFrame(rows, schema=schema, orient="row").with_columns(
        mean=pl.col("total") / pl.col("n_firings"),
        n_between=pl.col("n_firings"),
        effect=pl.lit(None, pl.Float64),
    )


def nodes_frame(rows: list[tuple]) -> pl.DataFrame:
    schema = {
        "layer": pl.UInt8,
        "head": pl.UInt8,
        "is_root": pl.Boolean,
        "n_prompts": pl.Int64,
        "n_firings": pl.Int64,
        "in_reference": pl.Boolean,
        "class": pl.String,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def evaluation_frame(rows: list[tuple]) -> pl.DataFrame:
    schema = {
        "reference": pl.String,
        "count": pl.String,
        "min_count": pl.Int64,
        "n_heads": pl.Int64,
        "tp": pl.Int64,
        "precision": pl.Float64,
        "recall": pl.Float64,
        "recall_reachable": pl.Float64,
        "f1": pl.Float64,
    }
    return pl.DataFrame(rows, schema=schema, orient="row")


def layers_of(spec: dict, mark: str) -> list[dict]:
    """The layers of a chart with that kind of mark."""
    return [layer for layer in spec["layer"] if layer["mark"]["type"] == mark]


def rows_of(spec: dict, layer: dict | None = None) -> list[dict]:
    """The rows that a layer, or a chart of one mark, draws."""
    data = (layer or {}).get("data") or spec["data"]
    return spec["datasets"][data["name"]] if "name" in data else data["values"]


def subtitle(spec: dict) -> str:
    return " ".join(spec["title"].get("subtitle", []))


def loads_nothing(page: str) -> bool:
    """No element and no style of the page names anything outside it."""
    outside_scripts = re.sub(r"(<script[^>]*>).*?</script>", r"\1", page, flags=re.DOTALL)
    return not re.search(r"\ssrc\s*=|<link|@import|url\(|href=\"(?!#)", outside_scripts)
