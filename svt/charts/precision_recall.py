"""Precision and recall of the traced circuit over the count threshold, a row for each reference.

1. The rows of `precision_recall` for the run's kind of count are drawn. A row is valid for all
   thresholds above that of the next lower row.
2. Rows equal to the next higher row are dropped, which does not change the step lines.
3. Each ratio that a reference has is a panel; reachable recall only where it differs from recall.
4. The threshold of the run is a rule; the ratio there is a point with its value, on the side where
   the line does not rise.
5. The grey band behind a line is the ratio of random sets of as many heads.
"""

from typing import Any

import altair as alt
import polars as pl

from svt.charts.style import (
    BLUE,
    GREEN,
    GREY,
    ORANGE,
    Chart,
    counted,
    inline,
    message,
    plural,
    ratio,
    title,
)

METRICS = {"precision": "precision", "recall": "recall", "recall_reachable": "reachable recall"}
COLOURS = {"precision": BLUE, "recall": ORANGE, "recall_reachable": GREEN}
LINEAR_TO = 2000
_LABEL = 0.15  # the width of the value at the point, as a share of the panel
HEADING = "Precision and recall"


def precision_recall(
    evaluation: pl.DataFrame,
    *,
    count: str = "prompts",
    min_count: int = 1,
    random: pl.DataFrame | None = None,
) -> Chart:
    """Draw the ratios over the threshold, with the run's own, `min_count`, marked.

    evaluation: rows of the query `precision_recall`; random: of `random_band`.
    """
    chosen = evaluation.filter(count=count).sort("reference", "min_count")  # 1
    if chosen.is_empty():
        return message(HEADING, "No evaluation: no reference was chosen, or nothing was traced.")
    references = chosen.partition_by("reference", maintain_order=True)
    metrics = [m for m in METRICS if any(_has_values(m, of) for of in references)]  # 3
    far = max(*chosen["min_count"].to_list(), min_count)
    panels = [
        _draw_panel(of, metric, random, count, min_count, far)
        for of in references
        for metric in metrics
    ]
    return alt.concat(*panels, columns=len(metrics)).properties(
        title=title(
            HEADING,
            *(_describe(of, min_count, count) for of in references),
            "Grey: the range of 95% of random sets of as many heads, and their mean."
            if random is not None and random.height
            else "",
        )
    )


def _has_values(metric: str, of: pl.DataFrame) -> bool:
    """Return whether a reference has the metric (step 3)."""
    same = metric == "recall_reachable" and of[metric].equals(of["recall"], null_equal=True)
    return not same and of[metric].count() > 0


def _draw_panel(
    of: pl.DataFrame, metric: str, random: pl.DataFrame | None, count: str, min_count: int, far: int
) -> Chart:
    """Draw one ratio against one reference."""
    x = alt.X(
        "min_count:Q",
        title=f"an edge counts from this many {count}",
        scale=alt.Scale(domain=[1, far], nice=False, type="log" if far > LINEAR_TO else "linear"),
    )
    reference = of["reference"][0]
    layers = []
    if random is not None:
        band = random.filter(reference=reference, metric=metric).drop_nulls("mean")
        layers += _draw_band(band.sort("min_count"), x) if band.height else []
    threshold = [{"min_count": min_count, "label": f"this run: {min_count}"}]
    rule = alt.Chart(inline(threshold)).mark_rule(style="threshold")
    layers += [
        _draw_line(_drop_repeats(of, metric), metric, x),
        rule.encode(x="min_count:Q", tooltip="label:N"),
        *_draw_point(of, metric, min_count, far),
    ]
    return alt.layer(*layers).properties(
        width=290, height=220, title=alt.TitleParams(f"{METRICS[metric]}, {reference}", fontSize=12)
    )


def _drop_repeats(of: pl.DataFrame, metric: str) -> pl.DataFrame:
    """Return the points of a step line from threshold 1 on (step 2)."""
    changes = pl.struct("n_heads", "tp").ne_missing(pl.struct("n_heads", "tp").shift(-1))
    return (
        pl.concat(
            [of.head(1).with_columns(min_count=pl.lit(1)), of.filter(changes)],
            how="vertical_relaxed",
        )
        .select("min_count", "n_heads", "tp", value=metric)
        .drop_nulls("value")
    )


def _y(field: str) -> alt.Y:
    return alt.Y(f"{field}:Q", title=None, scale=alt.Scale(domain=[0, 1]))


def _draw_line(steps: pl.DataFrame, metric: str, x: alt.X) -> alt.Chart:
    return (
        alt.Chart(steps)
        .mark_line(interpolate="step-before", strokeWidth=2.5, color=COLOURS[metric])
        .encode(
            x,
            _y("value"),
            tooltip=[
                alt.Tooltip("value:Q", title=METRICS[metric], format=".3f"),
                alt.Tooltip("min_count:Q", title="counts up to", format=","),
                alt.Tooltip("n_heads:Q", title="heads"),
                alt.Tooltip("tp:Q", title="of them in the reference"),
            ],
        )
    )


def _draw_point(of: pl.DataFrame, metric: str, min_count: int, far: int) -> list[alt.Chart]:
    """Return the marks of step 4; none where the ratio is undefined."""
    value = _row_at(of, min_count).get(metric)
    if value is None:
        return []
    base = alt.Chart(inline([{"min_count": min_count, "value": value}])).encode(
        x="min_count:Q", y="value:Q"
    )
    behind = of.filter(pl.col("min_count").is_between(min_count, min_count + far * _LABEL))
    left = far * _LABEL < min_count and any(v > value for v in behind[metric].drop_nulls())
    align: dict[str, Any] = {"align": "right", "dx": -8} if left else {"align": "left", "dx": 8}
    return [
        base.mark_point(filled=True, size=80, opacity=1, color=COLOURS[metric]),
        base.mark_text(**align, dy=-11 if value < 0.9 else 13, fontWeight="bold").encode(
            text=alt.Text("value:Q", format=".2f")
        ),
    ]


def _draw_band(band: pl.DataFrame, x: alt.X) -> list[alt.Chart]:
    """Return the band of step 5, from threshold 1 on, and its mean."""
    steps = pl.concat(
        [band.head(1).with_columns(min_count=pl.lit(1)), band], how="vertical_relaxed"
    ).select("min_count", "mean", "low", "high")
    base = alt.Chart(steps)
    return [
        base.mark_area(interpolate="step-before", color=GREY, opacity=0.25).encode(
            x,
            _y("low"),
            alt.Y2("high:Q"),
            tooltip=[
                alt.Tooltip("mean:Q", title="random: mean", format=".3f"),
                alt.Tooltip("low:Q", title="2.5%", format=".3f"),
                alt.Tooltip("high:Q", title="97.5%", format=".3f"),
            ],
        ),
        base.mark_line(interpolate="step-before", color=GREY, strokeWidth=1).encode(x, _y("mean")),
    ]


def _row_at(of: pl.DataFrame, min_count: int) -> dict[str, Any]:
    """Return the row that is valid at the threshold; empty above the last."""
    return next(of.filter(pl.col("min_count") >= min_count).iter_rows(named=True), {})


def _describe(of: pl.DataFrame, min_count: int, count: str) -> str:
    """State the ratios at the threshold of the run."""
    threshold = f"Against {of['reference'][0]}, from {counted(min_count, count)} on: "
    row = _row_at(of, min_count)
    if not row:
        return threshold + "no edge."
    ratios = [f"{METRICS[m]} {ratio(row[m])}" for m in METRICS]
    return f"{threshold}{plural(row['n_heads'], 'head')}, {', '.join(ratios)}."
