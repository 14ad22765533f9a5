"""Upstream contributions of every head below a chosen head: signal slices beside all slices.

1. A row for each chosen head: first what is written into its destination token, then into its
   source token, each through the signal slices and, where they are stored, through all slices.
2. One square for each upstream head; its mean contribution over the firings is the colour.
3. All panels share one diverging scale about 0, so that equal colours are equal contributions.
   Where one panel's largest value is more than `RATIO` times another's, the colours follow the
   square root of the size, since the smaller would be white throughout.
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

Panels = dict[tuple[str, str], pl.DataFrame]
"""Of a (side, column of PANELS) the rows of the side."""


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
    filled = {head: frame for head, frame in upstream.items() if not frame.is_empty()}
    if not filled:
        return message(HEADING, " ".join(filter(None, lines)))
    heading = title(
        HEADING,
        "Orange raises the score, blue lowers it; all panels share the scale below.",
        *lines,
    )
    shown = {head: _panels(frame) for head, frame in filled.items()}
    colour = _colour(
        [_largest(values, at[1]) for panels in shown.values() for at, values in panels.items()]
    )
    rows = [_row(panels, colour, *head) for head, panels in shown.items()]
    return alt.concat(*rows, columns=1, title=heading, spacing=28)


def _panels(upstream: pl.DataFrame) -> Panels:
    """Step 1."""
    return {
        (side, column): upstream.filter(side=side)
        for side in SIDE_NAMES
        for column in PANELS
        if upstream[column].count()
    }


def _row(shown: Panels, colour: alt.Color, layer: int, head: int) -> alt.HConcatChart:
    n_firings = max(int(values["n_firings"].max()) for values in shown.values())  # type: ignore[arg-type]
    return alt.hconcat(
        *(
            _panel(values, column, colour, f"{SIDE_NAMES[side]}, {PANELS[column]}")
            for (side, column), values in shown.items()
        ),
        title=alt.TitleParams(
            f"Into {head_name(layer, head)}, mean of {plural(n_firings, 'firing')}", fontSize=13
        ),
        spacing=14,
    )


def _colour(largest: Sequence[float]) -> alt.Color:
    """Return step 3 for the largest sizes of the panels."""
    limit = max(largest)
    apart = limit > RATIO * min(largest)
    return alt.Color(
        "value:Q",
        title="mean contribution" + (", colour by the square root of its size" if apart else ""),
        scale=alt.Scale(
            type="pow",
            exponent=0.5 if apart else 1,
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
    """The largest size in a panel; the smallest positive number if all are 0."""
    sizes: list[float] = upstream[column].abs().drop_nulls().drop_nans().to_list()
    return max([1e-12, *sizes])


def _panel(upstream: pl.DataFrame, column: str, colour: alt.Color, heading: str) -> alt.Chart:
    """Layers upwards, heads to the right."""
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
