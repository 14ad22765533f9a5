"""A sweep over two numeric keys as heatmaps of precision, recall, F1 and heads.

1. The key with more distinct values is x, the other one y; their values are sorted and evenly
   spaced.
2. Each setting of the other swept keys has a row of four panels, at most `MOST_ROWS` rows.
3. The opacity of a square is its value, from the smallest to the largest of the measure; squares of
   at least `LABEL_WIDTH` show it as text. A failed job has no square, and a job whose graph has no
   edges only the text. A measure that no job has, such as precision without a reference, has no
   panel.
4. The square with the best F1 of all jobs with edges is outlined in every panel.
"""

import altair as alt
import polars as pl

from svt.charts.style import BLUE, GREY, Chart, plural, title

MEASURES = {"precision": "precision", "recall": "recall", "f1": "F1", "n_heads": "heads"}
MOST_ROWS = 6
FAINT, FULL = 0.08, 0.9
"""The opacity of the smallest and of the largest value."""
WIDTH, CELL, LABEL_WIDTH = 260, (44, 30), 28
"""Pixels of a panel, of the largest square, and the smallest width of a square with text."""


def sweep_heat(values: pl.DataFrame, *, across: str, up: str, heading: str, summary: str) -> Chart:
    """Draw four panels for each setting of the keys beyond the two.

    values: job precision recall f1 n_heads n_edges, the numeric keys `across` and `up`, and
    `others`, the setting of the remaining keys as text, empty if there are none; one row for each
    job. summary: the line below the title.
    """
    measures = [m for m in MEASURES if values[m].null_count() < values.height]
    settings = values["others"].unique(maintain_order=True).to_list()
    best = best_job(values)
    rows = []
    for setting in settings[:MOST_ROWS]:  # 2
        here = values.filter(others=setting)
        panels = [_draw_panel(here, values, across, up, measure, best) for measure in measures]
        row = alt.hconcat(*panels, spacing=18, title=alt.TitleParams(setting, fontSize=12))
        rows.append(row.resolve_scale(opacity="independent"))
    n_hidden = len(settings) - len(rows)
    without_edges = values.filter(n_edges=0).height
    return alt.concat(
        *rows,
        columns=1,
        title=title(
            heading,
            summary,
            "The stronger the colour, the larger the value, within the range of each measure"
            + ("; a value without colour: a graph without edges." if without_edges else "."),
            f"{plural(n_hidden, 'setting')} of the other keys left out." if n_hidden else "",
        ),
    )


def best_job(jobs: pl.DataFrame) -> int | None:
    """Return the job with the best F1, the first of equals; None if no two jobs differ in F1.

    jobs: job f1 n_edges. Graphs without edges, at a count that no edge reaches, do not count.
    """
    ranked = jobs.filter(pl.col("n_edges") > 0).drop_nulls("f1").sort("f1", descending=True)
    return None if ranked["f1"].n_unique() < 2 else ranked["job"].to_list()[0]


def _draw_panel(
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
    if width >= LABEL_WIDTH:
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
    """Return the configuration key of a column: `trace.min_share` for `trace_min_share`."""
    return column.replace("_", ".", 1)
