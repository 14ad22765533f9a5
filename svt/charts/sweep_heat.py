"""A sweep over two numbers as heat: precision, recall, F1 and heads on the grid of both.

1. The key with more distinct values is across, the other one up; both in the order of their values,
   evenly spaced.
2. A row of four panels for each setting of the other swept keys, at most `MOST_ROWS`.
3. The fuller a square, the larger its value, from the least to the most of that measure. Where
   there is room the value stands in it; a job without results has no square, one whose graph has no
   edge only its value, and a measure that no job has, as without a reference, has no panel.
4. The square of the best F1 of all jobs with edges is outlined in every panel.
"""

from collections.abc import Sequence

import altair as alt
import polars as pl

from svt.charts.style import BLUE, GREY, Chart, plural, title

MEASURES = {"precision": "precision", "recall": "recall", "f1": "F1", "n_heads": "heads"}
MOST_ROWS = 6
FAINT, FULL = 0.08, 0.9
"""Opacity of the least and of the largest value."""
WIDTH, CELL, ROOM = 260, (44, 30), 28
"""Pixels for a panel, for the largest square, and the width that a value needs."""


def sweep_heat(
    values: pl.DataFrame, *, keys: tuple[str, str], heading: str, notes: Sequence[str] = ()
) -> Chart:
    """Four panels for each setting of the keys beyond the two.

    values: job precision recall f1 n_heads n_edges, the two numeric `keys`, and `others`, the
    setting of the remaining keys as text, empty if there are none; one row a job. notes: below
    the title.
    """
    across, up = sorted(keys, key=lambda key: -values[key].n_unique())  # 1
    measures = [m for m in MEASURES if values[m].null_count() < values.height]
    settings = values["others"].unique(maintain_order=True).to_list()
    rows = []
    for setting in settings[:MOST_ROWS]:  # 2
        here = values.filter(others=setting)
        best = best_job(values)
        panels = [_panel(here, values, across, up, measure, best) for measure in measures]
        row = alt.hconcat(*panels, spacing=18, title=alt.TitleParams(setting, fontSize=12))
        rows.append(row.resolve_scale(opacity="independent"))
    hidden = len(settings) - len(rows)
    return alt.concat(
        *rows,
        columns=1,
        title=title(
            heading,
            *notes,
            "The fuller a square, the larger, from the least to the most of each measure"
            + ("; a value alone: a graph without edges." if _hollow(values).height else "."),
            f"{plural(hidden, 'setting')} of the other keys left out." if hidden else "",
        ),
    )


def best_job(jobs: pl.DataFrame) -> int | None:
    """Return the job of the best F1, the first of many; None where none can be said to be best.

    jobs: job f1 n_edges. A graph without edges is its roots alone, at a count that no edge reaches,
    and no result.
    """
    judged = jobs.filter(pl.col("n_edges") > 0).drop_nulls("f1").sort("f1", descending=True)
    return None if judged["f1"].n_unique() < 2 else judged["job"].to_list()[0]


def _hollow(values: pl.DataFrame) -> pl.DataFrame:
    return values.filter(pl.col("n_edges") == 0)


def _panel(
    here: pl.DataFrame,
    values: pl.DataFrame,
    across: str,
    up: str,
    measure: str,
    best: int | None,
) -> alt.LayerChart | alt.FacetChart:
    columns, rows = (values[key].unique().sort().to_list() for key in (across, up))
    width = min(CELL[0], WIDTH // len(columns))
    scaled = values.filter(pl.col("n_edges") > 0)[measure].drop_nulls().to_list() or [1]
    least = min(scaled) if min(scaled) < max(scaled) else 0
    shown = here.drop_nulls(measure).select("job", across, up, measure, "n_edges")
    squares = alt.Chart(shown).encode(
        alt.X(f"{across}:O", title=key_name(across), scale=alt.Scale(domain=columns)).axis(
            labelAngle=0, labelOverlap=True
        ),
        alt.Y(f"{up}:O", title=key_name(up), scale=alt.Scale(domain=rows, reverse=True)),
        tooltip=[
            alt.Tooltip("job:N"),
            *(alt.Tooltip(f"{key}:Q", title=key_name(key)) for key in (across, up)),
            alt.Tooltip(f"{measure}:Q", title=MEASURES[measure], format=".3~f"),
        ],
    )
    layers = [
        squares.transform_filter("datum.n_edges > 0")
        .mark_rect(color=GREY if measure == "n_heads" else BLUE)
        .encode(
            opacity=alt.Opacity(  # 3
                f"{measure}:Q",
                scale=alt.Scale(domain=[least, max(scaled)], range=[FAINT, FULL]),
                legend=None,
            )
        )
    ]
    if best in shown["job"].to_list():  # 4
        outlined = squares.transform_filter(f"datum.job === {best}")
        layers.append(outlined.mark_rect(style="best"))
    if width >= ROOM:
        number = "d" if measure == "n_heads" else ".2f"
        layers.append(
            squares.mark_text(style="label").encode(text=alt.Text(f"{measure}:Q", format=number))
        )
    return alt.layer(*layers).properties(
        width=width * len(columns),
        height=min(CELL[1], WIDTH // len(rows)) * len(rows),
        title=alt.TitleParams(MEASURES[measure], fontSize=12, fontWeight="normal"),
    )


def key_name(column: str) -> str:
    """`trace_min_share` as it is typed: `trace.min_share`."""
    return column.replace("_", ".", 1)
