"""How little an intervention changes: the vector it touches before and after.

1. One column a measure: cosine similarity and norm ratio of the changed vector, then of the
   residual stream there. One row an arrangement (single edges, sets) and scope.
2. The rows of the query are the bins of histograms, empty bins without a row; each histogram
   becomes a line in steps. Kinds have colours; random slices are dashed.
3. Shares stand on a square-root scale: most values lie in few bins, and the others would not be
   seen beside them. Each panel has its own bins and so its own x axis.
"""

import altair as alt
import polars as pl

from svt.charts.interventions import KIND_COLOURS, SCOPE_NAMES, kinds_of, scopes_of
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


def disturbance(bins: pl.DataFrame, *, heading: str = HEADING) -> Chart:
    """A grid of histograms.

    bins: rows of the query `disturbance`: arrangement scope measure kind control bin low
    high share.
    """
    if bins.is_empty():
        return message(heading, "Nothing was changed, so nothing was disturbed.")
    measures = [m for m in MEASURES if m in set(bins["measure"].to_list())]
    rows = [
        (arrangement, scope)
        for arrangement in ARRANGEMENTS
        for scope in scopes_of(bins.filter(pl.col("arrangement") == arrangement))
    ]
    return alt.hconcat(
        *(_column(bins.filter(pl.col("measure") == m), rows, m == measures[0]) for m in measures),
        spacing=16,
        title=title(
            heading,
            "Share of the changed pairs (of the prompts, for sets), on a square-root scale so that "
            "the few are seen; 1 is unchanged. Each panel has an x axis of its own.",
        ),
    )


def _column(bins: pl.DataFrame, rows: list[tuple[str, str]], first: bool) -> alt.VConcatChart:
    """The panels of one measure; those of the first column are named at their left."""
    panels = [
        _panel(
            steps(bins.filter((pl.col("arrangement") == arrangement) & (pl.col("scope") == scope))),
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


def _panel(lines: pl.DataFrame, name: list[str] | None) -> alt.Chart:
    kinds = kinds_of(lines)
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
                    labelFlush=True,  # else the highest label lifts the first column's title
                ),
            ),
            color=alt.Color(
                "kind:N",
                title=None,
                scale=alt.Scale(domain=kinds, range=[KIND_COLOURS[kind] for kind in kinds]),
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


def steps(bins: pl.DataFrame) -> pl.DataFrame:
    """Step 2: where each line changes, and the share from there on: 0 where no bin follows."""
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
