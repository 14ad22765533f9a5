"""How little interventions change: the changed vector compared with the original one.

1. Each measure has a column: cosine similarity and norm ratio of the changed vector, then of the
   residual stream at its place. Each arrangement (single edges, sets) and scope has a row.
2. The rows of the query are the bins of histograms, without the empty bins; each histogram is drawn
   as a step line. Colours are kinds; random slices are dashed.
3. Shares have a square-root scale, because most values lie in few bins and the other bins would
   be invisible. Each panel has its own bins and so its own x axis.
"""

import altair as alt
import polars as pl

from svt.charts.interventions import SCOPE_NAMES, kind_scale, kinds_of, scopes_of
from svt.charts.style import Chart, message, title

MEASURES = {
    "cosine": "cosine similarity: changed vector",
    "norm_ratio": "norm ratio: changed vector",
    "resid_cosine": "cosine similarity: residual stream",
    "resid_norm_ratio": "norm ratio: residual stream",
}
ARRANGEMENTS = {"single": "single edges", "set": "sets of edges"}
CONTROLS = {"signal": "signal slices", "random": "random slices"}
WIDTH, HEIGHT = 215, 95
HEADING = "How little is changed"


def disturbance(bins: pl.DataFrame) -> Chart:
    """Draw a grid of histograms.

    bins: rows of the query `disturbance`.
    """
    if bins.is_empty():
        return message(HEADING, "No intervention was run.")
    measures = [m for m in MEASURES if m in set(bins["measure"].to_list())]
    rows = [
        (arrangement, scope)
        for arrangement in ARRANGEMENTS
        for scope in scopes_of(bins.filter(arrangement=arrangement))
    ]
    return alt.hconcat(
        *(_draw_column(bins.filter(measure=m), rows, m == measures[0]) for m in measures),
        spacing=16,
        title=title(
            HEADING,
            "Share of the changed pairs (for sets: of the prompts), on a square-root scale to show "
            "small shares; 1 is unchanged. Each panel has its own x axis.",
        ),
    )


def _draw_column(bins: pl.DataFrame, rows: list[tuple[str, str]], first: bool) -> alt.VConcatChart:
    """Draw the panels of a measure, with labels at the left of those in the first column."""
    panels = [
        _draw_panel(
            make_steps(bins.filter(arrangement=arrangement, scope=scope)),
            [ARRANGEMENTS[arrangement], SCOPE_NAMES[scope]] if first else None,
        )
        for arrangement, scope in rows
    ]
    return alt.vconcat(
        *panels,
        spacing=30,
        bounds="flush",
        title=alt.TitleParams(MEASURES[bins["measure"][0]], fontSize=12),
    ).resolve_scale(y="shared")


def _draw_panel(lines: pl.DataFrame, name: list[str] | None) -> alt.Chart:
    return (
        alt.Chart(lines)
        .mark_line(interpolate="step-after", strokeWidth=1.8)
        .encode(
            alt.X(
                "at:Q",
                title=None,
                scale=alt.Scale(zero=False, nice=False),
                axis=alt.Axis(tickCount=4, format="~g"),
            ),
            alt.Y(
                "share:Q",
                title=name,
                scale=alt.Scale(type="sqrt", domain=[0, 1]),
                axis=alt.Axis(
                    values=[0, 0.01, 0.1, 0.5, 1],
                    format="%",
                    labels=name is not None,
                    labelFlush=True,  # the highest label would raise the title of the first column
                ),
            ),
            color=alt.Color(
                "kind:N",
                title=None,
                scale=kind_scale(kinds_of(lines), random=False),
                legend=alt.Legend(orient="top", symbolType="stroke"),
            ),
            strokeDash=alt.StrokeDash(
                "slices:N",
                title=None,
                scale=alt.Scale(domain=list(CONTROLS.values()), range=[[1, 0], [3, 2]]),
                legend=alt.Legend(orient="top", symbolType="stroke"),
            ),
        )
        .properties(width=WIDTH, height=HEIGHT)
    )


def make_steps(bins: pl.DataFrame) -> pl.DataFrame:
    """Return the points of each step line, with a share of 0 after a bin that no other follows."""
    line = ["kind", "control"]
    starts = bins.select(*line, "bin", at="low", share="share")
    ends = bins.select(*line, pl.col("bin") + 1, at="high", share=0.0)
    return (
        pl.concat(
            [starts, ends.join(starts, on=[*line, "bin"], how="anti")], how="vertical_relaxed"
        )
        .with_columns(slices=pl.col("control").cast(pl.String).replace(CONTROLS))
        .sort(*line, "bin")
    )
