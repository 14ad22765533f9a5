"""The distribution of the number of slices in a firing's signal set, for one store or two.

Each store has a panel with its median; all panels have the same scales.
"""

from collections.abc import Sequence

import altair as alt
import numpy as np
import polars as pl

from svt.charts.style import BLUE, ORANGE, Chart, inline, message, panel_title, plural, title

HEADING = "Slices in the signal set of a firing"
COLOURS = (ORANGE, BLUE)


def slice_counts(counts: Sequence[pl.DataFrame], *, notes: Sequence[str] = ()) -> Chart:
    """Draw a histogram for each store.

    counts: for each store, the run's own first, the rows of the query `slice_counts`;
    notes: lines below the title.
    """
    filled = [(i, frame) for i, frame in enumerate(counts) if not frame.is_empty()]
    stores = ("the run's own store", "chart.compare_store")
    empty = [stores[i] for i, frame in enumerate(counts) if frame.is_empty()]
    lines = [*notes, *(f"There are none in {store}." for store in empty)]
    if not filled:
        return message(HEADING, *lines)
    largest = max(int(frame["n_slices"].max()) for _, frame in filled)  # type: ignore[arg-type]
    return alt.hconcat(
        *(_draw_panel(frame, largest, COLOURS[i]) for i, frame in filled),
        title=title(HEADING, *lines),
        spacing=30,
    ).resolve_scale(x="shared", y="shared")


def median(counts: pl.DataFrame) -> float:
    """Return the median of n_slices, weighted by n_firings."""
    return float(np.median(np.repeat(counts["n_slices"], counts["n_firings"])))


def _draw_panel(counts: pl.DataFrame, largest: int, colour: str) -> alt.LayerChart | alt.FacetChart:
    middle = median(counts)
    values = counts.select(
        "n_slices",
        "n_firings",
        pl.col("share").round_sig_figs(5),
        left=pl.col("n_slices") - 0.45,
        right=pl.col("n_slices") + 0.45,
    )
    bars = (
        alt.Chart(values)
        .mark_rect(color=colour)
        .encode(
            alt.X(
                "left:Q",
                title="slices in the signal set",
                scale=alt.Scale(domain=[0, largest + 1], nice=False),
                axis=alt.Axis(grid=False, tickMinStep=1, format="d"),
            ),
            alt.X2("right:Q"),
            alt.Y("share:Q", title="share of the firings", axis=alt.Axis(format="~%")),
            alt.Y2Datum(0),
            tooltip=[
                alt.Tooltip("n_slices:Q", title="slices"),
                alt.Tooltip("n_firings:Q", title="firings", format=","),
                alt.Tooltip("share:Q", format=".2%"),
            ],
        )
    )
    rule = (
        alt.Chart(inline([{"median": middle}]))
        .mark_rule(style="threshold", strokeWidth=1.5)
        .encode(alt.X("median:Q"), tooltip=[alt.Tooltip("median:Q", format="~g")])
    )
    n_firings = plural(int(counts["n_firings"].sum()), "firing")
    model, dataset = counts["model"][0], counts["dataset"][0]
    return alt.layer(bars, rule).properties(
        width=420,
        height=220,
        title=panel_title(
            f"{model} on {dataset}" if dataset else f"{model}",
            f"{n_firings}, median {middle:g} of {counts['d_head'][0]} slices",
        ),
    )
