"""The circuits of a sweep compared: the heads of each role, and the edges in common.

1. The table has a row for each role and a column for each job, with the heads (layer.head) that
   attend between these tokens in the trace, or that only write at one. The opacity is the number of
   heads; rows are as high as their longest list.
2. The panel below has a row for each pair of jobs: the Jaccard index of their edges, with heads
   matched by role, as a point with its value and counts, and the range of 95% of random matchings
   in grey.
3. At most `MOST_JOBS` jobs and the `MOST_ROLES` roles with most heads are shown.
"""

from collections.abc import Mapping

import altair as alt
import polars as pl

from svt.charts.style import BLUE, GREY, Chart, message, plural, title

HEADING = "Circuits by the roles of their heads"
MOST_JOBS, MOST_ROLES = 6, 20
COLUMN, LINE, MARGIN = 190, 13, 10
"""Pixels of a column, of a line of heads, and of the space around a list."""
IN_A_LINE = 7


def sweep_roles(roles: pl.DataFrame, overlap: pl.DataFrame, names: Mapping[int, str]) -> Chart:
    """Draw a table of heads, and an interval for each pair of jobs.

    roles: rows of the query `sweep_roles`; overlap: of `sweep_overlap`; names: of the jobs.
    """
    if roles.is_empty():
        return message(HEADING, "Nothing to compare: no job has a circuit.")
    jobs = roles["job"].unique().sort().to_list()
    shown = jobs[:MOST_JOBS]  # 3
    every = roles["head_role"].unique(maintain_order=True).to_list()
    here = roles.filter(pl.col("job").is_in(shown), pl.col("head_role").is_in(every[:MOST_ROLES]))
    pairs = overlap.filter(pl.col("job_a").is_in(shown), pl.col("job_b").is_in(shown))
    panels: list[Chart] = [_draw_table(here, shown, names)]
    if pairs["jaccard"].count():
        panels.append(_draw_intervals(pairs.drop_nulls("jaccard"), names))
    n_jobs, n_roles = len(jobs) - len(shown), max(len(every) - MOST_ROLES, 0)
    return alt.concat(
        *panels,
        columns=1,
        spacing=26,
        title=title(
            HEADING,
            "The heads of each circuit, layer.head, by the tokens that they attend between in a "
            "quarter of the prompts or more;",
            "heads that do so less often are in the row of the token that they mostly write to.",
            f"Left out: {plural(n_jobs, 'job')}." if n_jobs else "",
            f"Left out: {plural(n_roles, 'role')} with fewer heads." if n_roles else "",
        ),
    )


def _draw_table(roles: pl.DataFrame, jobs: list[int], names: Mapping[int, str]) -> Chart:
    """Draw the heads of each role and job (step 1)."""
    lists = roles.with_columns(
        text=pl.col("heads").map_elements(_wrap, return_dtype=pl.String),
        role=pl.col("head_role").str.replace("->", " -> "),
        name=pl.col("job").replace_strict(dict(names)),
        x=pl.col("job").replace_strict(jobs, range(0, COLUMN * len(jobs), COLUMN)),
    )
    rows = (
        lists.group_by("role", maintain_order=True)
        .agg((pl.col("text").str.count_matches("\n").max() + 1) * LINE + MARGIN)
        .with_columns(y2=pl.col("text").cum_sum())
        .with_columns(y=pl.col("y2") - pl.col("text"))
        .drop("text")
    )
    height = int(rows["y2"][-1])
    values = lists.join(rows, on="role", maintain_order="left").with_columns(
        x2=pl.col("x") + COLUMN - 4, middle=(pl.col("y") + pl.col("y2")) / 2
    )
    x = alt.X("x:Q", axis=None, scale=alt.Scale(domain=[0, COLUMN * len(jobs)], nice=False))
    y = alt.Y("y:Q", axis=None, scale=alt.Scale(domain=[height, 0], nice=False))
    middle = alt.Y("middle:Q")
    squares = (
        alt.Chart(values)
        .mark_rect(color=BLUE)
        .encode(
            x,
            y,
            alt.X2("x2"),
            alt.Y2("y2"),
            opacity=alt.Opacity(
                "n_heads:Q", scale=alt.Scale(range=[0.04, 0.5], domainMin=0), legend=None
            ),
            tooltip=[
                alt.Tooltip("name:N", title="job"),
                alt.Tooltip("role:N", title="role"),
                alt.Tooltip("n_heads:Q", title="heads"),
                alt.Tooltip("heads:N", title="which"),
            ],
        )
    )
    heads = (
        alt.Chart(values.filter(pl.col("n_heads") > 0))
        .transform_calculate(centre=f"datum.x + {COLUMN // 2 - 2}")
        .mark_text(style="label", lineBreak="\n", lineHeight=LINE, baseline="middle")
        .encode(alt.X("centre:Q"), alt.Y("top:Q"), text="text:N")
        .transform_calculate(
            top=f"datum.middle - (length(split(datum.text, '\\n')) - 1) * {LINE / 2}"
        )
    )
    labels = (
        alt.Chart(values.filter(x=0))
        .mark_text(style="label", align="right", dx=-10, baseline="middle")
        .encode(x=alt.value(0), y=middle, text="role:N")
    )
    columns = (
        alt.Chart(values.unique("job", maintain_order=True))
        .transform_calculate(centre=f"datum.x + {COLUMN // 2 - 2}")
        .mark_text(style="role", baseline="bottom", dy=-6)
        .encode(alt.X("centre:Q"), y=alt.value(0), text="name:N")
    )
    return alt.layer(squares, heads, labels, columns).properties(
        width=COLUMN * len(jobs), height=height
    )


def _wrap(heads: str) -> str:
    """Return a list of heads with at most `IN_A_LINE` in a line."""
    each = heads.split()
    return "\n".join("  ".join(each[i : i + IN_A_LINE]) for i in range(0, len(each), IN_A_LINE))


def _draw_intervals(pairs: pl.DataFrame, names: Mapping[int, str]) -> Chart:
    """Draw the Jaccard index of each pair of jobs (step 2)."""
    one, other = (pl.col(job).replace_strict(dict(names)) for job in ("job_a", "job_b"))
    counts = pl.format("{} of {} and {}", "n_shared", "n_edges_a", "n_edges_b")
    index = pl.col("jaccard").map_elements("{:.2f}, ".format, return_dtype=pl.String)
    values = pairs.with_columns(
        pair=pl.format("{} and {}", one, other), counts=counts, text=index + counts
    )
    base = alt.Chart(values).encode(
        alt.Y("pair:N", title=None, sort=values["pair"].to_list()).axis(
            labelLimit=300, labelPadding=8, ticks=False, domain=False
        )
    )
    x, low = (
        alt.X(f"{field}:Q", title="shared edges / all edges, heads matched by role")
        .scale(domain=[0, 1])
        .axis(grid=False)  # grid lines would cross the numbers
        for field in ("jaccard", "random_low")
    )
    tooltip = [
        alt.Tooltip("pair:N", title="jobs"),
        alt.Tooltip("counts:N", title="shared edges"),
        alt.Tooltip("jaccard:Q", title="Jaccard index", format=".3f"),
        alt.Tooltip("random_mean:Q", title="random matching: mean", format=".3f"),
        alt.Tooltip("random_low:Q", title="2.5%", format=".3f"),
        alt.Tooltip("random_high:Q", title="97.5%", format=".3f"),
    ]
    chance = base.mark_bar(color=GREY, opacity=0.45, size=10).encode(
        low, alt.X2("random_high"), tooltip=tooltip
    )
    points = base.mark_point(color=BLUE, filled=True, size=80, opacity=1).encode(x, tooltip=tooltip)
    labels = base.mark_text(style="label", align="left", dx=8).encode(x, text="text:N")
    return alt.layer(chance, points, labels).properties(
        width=420,
        height=alt.Step(24),
        title=alt.TitleParams(
            "Edges shared; grey: 95% of random matchings", fontSize=12, fontWeight="normal"
        ),
    )
