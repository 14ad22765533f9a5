"""Heatmaps of the contributions of upstream heads, through signal slices and all slices.

1. Each head has a row of panels: contributions into its destination token, then into its source
   token, each through the signal slices and, where they are stored, through all slices.
2. Each upstream head is a square; the colour is its mean contribution over the firings.
3. All panels have the same diverging scale around 0. If the largest values of two panels differ by
   more than a factor of `RATIO`, the scale is the square root of the absolute value, because the
   smaller panel would be white otherwise.
"""

from collections.abc import Mapping, Sequence

import altair as alt
import polars as pl

from svt.charts.style import SIDE_NAMES, Chart, head_name, head_names, message, plural, title

HEADING = "Contributions of upstream heads"
RATIO = 4.0
CELL, WIDTH = 30, 240
"""The largest size of a square, and the width of a panel of many heads, in pixels."""
PANELS = {"contribution": "signal slices", "contribution_all": "all slices"}

Panels = dict[tuple[str, str], pl.DataFrame]
"""For each (side, column of PANELS) the rows of the side."""


def upstream_heatmap(
    upstream: Mapping[tuple[int, int], pl.DataFrame], *, notes: Sequence[str] = ()
) -> Chart:
    """Draw four heatmaps for each head, or two without contributions through all slices.

    upstream: for each (layer, head) the rows of the query `upstream_heatmap`;
    notes: lines below the title.
    """
    empty = head_names(head for head, frame in upstream.items() if frame.is_empty())
    lines = [*notes, f"No firing of {empty} has upstream heads in the store." if empty else ""]
    shown = {head: _split(frame) for head, frame in upstream.items() if not frame.is_empty()}
    if not shown:
        return message(HEADING, *lines)
    panels = [panel for row in shown.values() for panel in row.items()]
    colour = _scale_colours([_largest(rows, column) for (_, column), rows in panels])
    legend = "Orange raises the score, blue lowers it; all panels have the scale below."
    return alt.concat(
        *(_draw_row(panels, colour, *head) for head, panels in shown.items()),
        columns=1,
        title=title(HEADING, legend, *lines),
        spacing=28,
    )


def _split(upstream: pl.DataFrame) -> Panels:
    """Return the rows of each panel that has values (step 1)."""
    return {
        (side, column): upstream.filter(side=side)
        for side in SIDE_NAMES
        for column in PANELS
        if upstream[column].count()
    }


def _draw_row(shown: Panels, colour: alt.Color, layer: int, head: int) -> alt.HConcatChart:
    n_firings = max(int(values["n_firings"].max()) for values in shown.values())  # type: ignore[arg-type]
    return alt.hconcat(
        *(
            _draw_panel(values, column, colour, f"{SIDE_NAMES[side]}, {PANELS[column]}")
            for (side, column), values in shown.items()
        ),
        title=alt.TitleParams(
            f"Into {head_name(layer, head)}, mean of {plural(n_firings, 'firing')}", fontSize=13
        ),
        spacing=14,
    )


def _scale_colours(largest: Sequence[float]) -> alt.Color:
    """Return the colours of step 3 for the largest absolute values of the panels."""
    limit = max(largest)
    skewed = limit > RATIO * min(largest)
    return alt.Color(
        "value:Q",
        title="mean contribution" + (", colour by the square root of its size" if skewed else ""),
        scale=alt.Scale(
            type="pow",
            exponent=0.5 if skewed else 1,
            domain=[-limit, limit],
            domainMid=0,
            interpolate="rgb",
        ),
        legend=alt.Legend(
            orient="bottom",
            format="~r",
            gradientLength=2 * WIDTH,
            gradientThickness=8,
            tickCount=5,
            titleLimit=2 * WIDTH,
        ),
    )


def _largest(upstream: pl.DataFrame, column: str) -> float:
    """Return the largest absolute value in a panel, at least 1e-12."""
    sizes: list[float] = upstream[column].abs().drop_nulls().drop_nans().to_list()
    return max([1e-12, *sizes])


def _draw_panel(upstream: pl.DataFrame, column: str, colour: alt.Color, heading: str) -> alt.Chart:
    """Draw a heatmap with heads from left to right and layers upwards."""
    n_heads = int(upstream["up_head"].max()) + 1  # type: ignore[arg-type]
    n_layers = int(upstream["up_layer"].max()) + 1  # type: ignore[arg-type]
    cell = max(min(CELL, WIDTH // n_heads), 6)
    values = upstream.select("up_layer", "up_head", value=pl.col(column).round_sig_figs(5))
    return (
        alt.Chart(values)
        .mark_rect()
        .encode(
            alt.X("up_head:O", title="head", axis=alt.Axis(labelAngle=0, labelOverlap=True)),
            alt.Y("up_layer:O", title="layer", sort="descending", axis=alt.Axis(labelOverlap=True)),
            color=colour,
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
