"""Upstream contributions of every head below a chosen head: signal slices beside all slices.

1. One row for each upstream head and panel; the mean contribution over the firings is the colour.
2. Both panels share a diverging scale about 0, unless one panel's largest value is more than
   `RATIO` times the other's: then each has its own, since the smaller would be white throughout.
"""

import altair as alt
import polars as pl

from svt.charts.style import Chart, head_name, message, plural, title

RATIO = 4.0
CELL = 30
PANELS = {"contribution": "signal slices", "contribution_all": "all slices"}
SIDE_TOKENS = {"dest": "destination", "src": "source"}


def upstream_heatmap(upstream: pl.DataFrame, *, layer: int, head: int, side: str) -> Chart:
    """Two layer-by-head heatmaps for the `side` token of the firings of `layer.head`.

    upstream: rows of the query `upstream_heatmap`: up_layer up_head contribution contribution_all
    n_firings, one row a head, contributions as means over the firings.
    """
    heading = f"What reaches the {SIDE_TOKENS[side]} token of {head_name(layer, head)}"
    if upstream.is_empty():
        return message(
            heading, f"No firing of {head_name(layer, head)} has heads upstream in the store."
        )
    largest = {column: _largest(upstream, column) for column in PANELS}
    apart = max(largest.values()) > RATIO * min(largest.values())
    panels = [
        _panel(upstream, column, largest[column] if apart else max(largest.values()))
        for column in PANELS
    ]
    chart: alt.HConcatChart = alt.hconcat(
        *panels,
        title=title(
            heading,
            "Mean contribution of each upstream head"
            f" over {plural(max(upstream['n_firings'].to_list()), 'firing')}"
            "; orange raises the score, blue lowers it.",
            "The panels have scales of their own." if apart else "",
        ),
    ).resolve_scale(color="independent")
    return chart


def _largest(upstream: pl.DataFrame, column: str) -> float:
    """The largest size in a panel; the smallest positive number if all are 0."""
    sizes: list[float] = upstream[column].abs().drop_nulls().drop_nans().to_list()
    return max([1e-12, *sizes])


def _panel(upstream: pl.DataFrame, column: str, limit: float) -> alt.Chart:
    """Layers upwards, heads to the right, colours from -limit to limit."""
    n_heads = int(upstream["up_head"].max()) + 1  # type: ignore[arg-type]
    n_layers = int(upstream["up_layer"].max()) + 1  # type: ignore[arg-type]
    values = upstream.select("up_layer", "up_head", value=column)
    chart: alt.Chart = (
        alt.Chart(values)
        .mark_rect()
        .encode(
            alt.X("up_head:O", title="head", axis=alt.Axis(labelAngle=0)),
            alt.Y("up_layer:O", title="layer", sort="descending"),
            color=alt.Color(
                "value:Q",
                title="contribution",
                scale=alt.Scale(domain=[-limit, limit], domainMid=0, interpolate="rgb"),
                legend=alt.Legend(format="~g", gradientLength=max(60, min(120, n_layers * CELL))),
            ),
            tooltip=[
                alt.Tooltip("up_layer:O", title="layer"),
                alt.Tooltip("up_head:O", title="head"),
                alt.Tooltip("value:Q", title="mean contribution", format=".4~g"),
            ],
        )
        .properties(
            width=n_heads * CELL,
            height=n_layers * CELL,
            title=alt.TitleParams(PANELS[column], fontSize=12),
        )
    )
    return chart
