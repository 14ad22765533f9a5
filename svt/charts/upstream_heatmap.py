"""Upstream contributions of every head below a chosen head: signal slices beside all slices.

1. A row for each chosen head: first what is written into its destination token, then into its
   source token, each through the signal slices and, where they are stored, through all slices.
2. One square for each upstream head; its mean contribution over the firings is the colour.
3. Both panels of a side share a diverging scale about 0, unless one panel's largest value is more
   than `RATIO` times the other's: then each has its own, since the smaller would be white
   throughout.
"""

from collections.abc import Mapping, Sequence

import altair as alt
import polars as pl

from svt.charts.style import SIDE_NAMES, Chart, head_name, message, plural, title

HEADING = "Contributions of upstream heads"
RATIO = 4.0
CELL, WIDTH = 30, 240
"""Pixels for a head, at most, and for a panel of many."""
PANELS = {"contribution": "signal slices", "contribution_all": "all slices"}


def upstream_heatmap(
    upstream: Mapping[tuple[int, int], pl.DataFrame], *, notes: Sequence[str] = ()
) -> Chart:
    """Layer-by-head heatmaps, four for each head, two without contributions through all slices.

    upstream: of each (layer, head) the rows of the query `upstream_heatmap`: side up_layer up_head
    contribution contribution_all n_firings, contributions as means over the firings;
    notes: lines below the title.
    """
    nothing = [head_name(*head) for head, frame in upstream.items() if frame.is_empty()]
    lines = [
        *notes,
        f"No firing of {', '.join(nothing)} has heads upstream in the store." if nothing else "",
    ]
    rows = [_row(frame, *head) for head, frame in upstream.items() if not frame.is_empty()]
    if not rows:
        return message(HEADING, " ".join(filter(None, lines)))
    heading = title(
        HEADING,
        "Orange raises the score, blue lowers it; the scale of a panel stands below it.",
        *lines,
    )
    return alt.concat(*rows, columns=1, title=heading, spacing=28)


def _row(upstream: pl.DataFrame, layer: int, head: int) -> alt.HConcatChart:
    n_firings = int(upstream["n_firings"].max())  # type: ignore[arg-type]
    panels = []
    for side, token in SIDE_NAMES.items():  # 1
        values = upstream.filter(side=side)
        stored = [column for column in PANELS if upstream[column].count()]
        largest = {column: _largest(values, column) for column in stored}
        apart = max(largest.values()) > RATIO * min(largest.values())  # 3
        for column in stored:
            limit = largest[column] if apart else max(largest.values())
            panels.append(_panel(values, column, limit, f"{token}, {PANELS[column]}"))
    row: alt.HConcatChart = alt.hconcat(
        *panels,
        title=alt.TitleParams(
            f"Into {head_name(layer, head)}, mean of {plural(n_firings, 'firing')}", fontSize=13
        ),
        spacing=14,
    ).resolve_scale(color="independent")
    return row


def _largest(upstream: pl.DataFrame, column: str) -> float:
    """The largest size in a panel; the smallest positive number if all are 0."""
    sizes: list[float] = upstream[column].abs().drop_nulls().drop_nans().to_list()
    return max([1e-12, *sizes])


def _panel(upstream: pl.DataFrame, column: str, limit: float, heading: str) -> alt.Chart:
    """Layers upwards, heads to the right, colours from -limit to limit."""
    n_heads = int(upstream["up_head"].max()) + 1  # type: ignore[arg-type]
    n_layers = int(upstream["up_layer"].max()) + 1  # type: ignore[arg-type]
    cell = max(min(CELL, WIDTH // n_heads), 6)
    values = upstream.select("up_layer", "up_head", value=pl.col(column).round_sig_figs(5))
    chart: alt.Chart = (
        alt.Chart(values)
        .mark_rect()
        .encode(
            alt.X("up_head:O", title="head", axis=alt.Axis(labelAngle=0, labelOverlap=True)),
            alt.Y("up_layer:O", title="layer", sort="descending", axis=alt.Axis(labelOverlap=True)),
            color=alt.Color(
                "value:Q",
                title=None,
                scale=alt.Scale(domain=[-limit, limit], domainMid=0, interpolate="rgb"),
                legend=alt.Legend(
                    orient="bottom",
                    format="~r",
                    gradientLength=n_heads * cell,
                    gradientThickness=8,
                    tickCount=5,
                ),
            ),
            tooltip=[
                alt.Tooltip("up_layer:O", title="layer"),
                alt.Tooltip("up_head:O", title="head"),
                alt.Tooltip("value:Q", title="mean contribution", format=".4~g"),
            ],
        )
        .properties(
            width=n_heads * cell,
            height=n_layers * cell,
            title=alt.TitleParams(heading, fontSize=12, fontWeight="normal"),
        )
    )
    return chart
