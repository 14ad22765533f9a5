"""The results of a sweep: precision, recall, heads and edges of every job over the swept keys.

1. Failed jobs, which have no results, are left out; the subtitle has their number.
2. If two or more swept keys are numbers with two values or more, the two with the most values form
   a grid: svt/charts/sweep_heat.py.
3. Otherwise x is the swept key with the most distinct numbers, or if no key is a number, with the
   most distinct values; the other keys together are the colour. Each measure has a panel with its
   own y axis, unless no job has it, such as precision without a reference.
"""

from collections.abc import Sequence

import altair as alt
import polars as pl

from svt.charts.style import BLUE, Chart, message, plural, title
from svt.charts.sweep_heat import best_job, key_name, sweep_heat

MEASURES = {
    "precision": "precision",
    "recall": "recall",
    "n_heads": "heads",
    "n_edges": "edges",
}
HEADING = "Sweep"
MOST_TICKS = 8


def sweep(jobs: pl.DataFrame, *, keys: Sequence[str]) -> Chart:
    """Draw a panel for each measure of the jobs of a sweep.

    jobs: job precision recall f1 n_heads n_edges and a column for each of `keys` (with
    underscores for dots), one row for each job; n_heads is null where the job failed.
    """
    done = jobs.drop_nulls("n_heads")
    n_failed = jobs.height - done.height
    if done.is_empty() or not keys:
        why = f"{plural(n_failed, 'job')} failed" if keys else "no key was swept"
        return message(HEADING, f"Nothing to compare: {why}.")
    failed = f"; {n_failed} failed and not shown." if n_failed else "."  # 1
    summary = f"{plural(done.height, 'job')}{failed}"
    best = best_job(done)
    if best is not None:
        row = done.filter(job=best).row(0, named=True)
        at = ", ".join(f"{key_name(key)}={row[key]}" for key in keys)
        summary += f" Best F1 of graphs with edges: {row['f1']:.2f} at {at}"
    ordered = sorted(keys, key=lambda key: (_is_number(done[key]), done[key].n_unique()))[::-1]
    grid = [key for key in ordered if _is_number(done[key]) and done[key].n_unique() > 1][:2]
    axes = grid if len(grid) == 2 else ordered[:1]
    others = [
        pl.format("{}={}", pl.lit(key_name(key)), pl.col(key).cast(pl.String).fill_null("null"))
        for key in keys
        if key not in axes
    ]
    values = done.with_columns(
        others=pl.concat_str(others, separator=" ") if others else pl.lit("")
    )
    if len(axes) == 2:  # 2
        summary = summary if best is None else f"{summary} (outlined)."
        across, up = axes
        return sweep_heat(values, across=across, up=up, heading=HEADING, summary=summary)
    measures = [m for m in MEASURES if values[m].null_count() < values.height]
    return alt.concat(  # 3
        *(_draw_panel(values, axes[0], measure, bool(others)) for measure in measures),
        columns=2,
        title=title(HEADING, summary if best is None else f"{summary}."),
    )


def _draw_panel(values: pl.DataFrame, x: str, measure: str, coloured: bool) -> alt.Chart:
    numeric = _is_number(values[x])
    share = measure in ("precision", "recall")
    return (
        alt.Chart(values.drop_nulls(measure).select("job", x, "others", measure))
        .mark_line(point=alt.OverlayMarkDef(size=50, filled=True), strokeWidth=2)
        .encode(
            _numeric_x(values[x])
            if numeric
            else alt.X(f"{x}:N").title(key_name(x)).axis(labelAngle=0),
            alt.Y(f"{measure}:Q", title=MEASURES[measure]).scale(
                **({"domain": [0, 1]} if share else {"zero": True})
            ),
            color=alt.Color("others:N", title=None) if coloured else alt.value(BLUE),
            tooltip=[
                alt.Tooltip("job:N"),
                alt.Tooltip(f"{x}:{'Q' if numeric else 'N'}", title=key_name(x)),
                *([alt.Tooltip("others:N", title="and")] if coloured else []),
                alt.Tooltip(f"{measure}:Q", title=MEASURES[measure], format=".3~f"),
            ],
        )
        .properties(width=270, height=170)
    )


def _is_number(values: pl.Series) -> bool:
    """Return whether all values are numbers."""
    return values.dtype.is_numeric() and values.null_count() == 0


def _numeric_x(values: pl.Series) -> alt.X:
    """Return a numeric x, with a tick at each value if there are at most `MOST_TICKS`."""
    distinct = values.unique().sort().to_list()
    ticks = alt.Axis(values=distinct) if len(distinct) <= MOST_TICKS else alt.Axis()
    return alt.X(
        f"{values.name}:Q",
        title=key_name(values.name),
        scale=alt.Scale(zero=False, nice=False, padding=14),
        axis=ticks,
    )
