"""Precision and recall of the traced circuit for every count threshold, a row for each reference.

1. Of the `precision_recall` rows those of the run's kind of count are kept. A row speaks for every
   threshold above the next lower row's.
2. Rows that say the same as the next higher row are dropped: the lines are steps, nothing is lost.
3. A panel for each ratio that the reference has; reachable recall only where it is not the recall.
4. The run's own threshold is a rule; the ratio there is a point, with its value on the side where
   the line does not rise.
5. Behind the line stands, as a band, what as many heads drawn at random would reach.
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
_LABEL = 0.15  # of the width of a panel, for the value at the point
HEADING = "Precision and recall"


def precision_recall(
    evaluation: pl.DataFrame,
    *,
    count: str = "prompts",
    min_count: int = 1,
    random: pl.DataFrame | None = None,
    heading: str = HEADING,
) -> Chart:
    """The ratios over `min_count`, the threshold of the run marked.

    evaluation: rows of the query `precision_recall`: reference count min_count n_heads tp precision
    recall recall_reachable;
    random: of `random_band`: reference min_count metric mean low high.
    """
    chosen = evaluation.filter(pl.col("count") == count).sort("reference", "min_count")  # 1
    if chosen.is_empty():
        return message(heading, "No evaluation: no reference was chosen, or nothing was traced.")
    references = chosen.partition_by("reference", maintain_order=True)
    metrics = [metric for metric in METRICS if any(_tells(metric, of) for of in references)]  # 3
    far = max(*chosen["min_count"].to_list(), min_count)
    panels = [
        _panel(of, metric, random, count, min_count, far) for of in references for metric in metrics
    ]
    return alt.concat(*panels, columns=len(metrics)).properties(
        title=title(
            heading,
            *(_at(of, min_count, count) for of in references),
            "Grey: where 95% of as many heads drawn at random lie, and their mean."
            if random is not None and random.height
            else "",
        )
    )


def _tells(metric: str, of: pl.DataFrame) -> bool:
    if metric == "recall_reachable":
        return bool(of[metric].ne_missing(of["recall"]).any()) and _known(of[metric])
    return _known(of[metric])


def _known(ratios: pl.Series) -> bool:
    return ratios.null_count() < len(ratios)


def _panel(
    of: pl.DataFrame, metric: str, random: pl.DataFrame | None, count: str, min_count: int, far: int
) -> Chart:
    """One ratio against one reference."""
    x = alt.X(
        "min_count:Q",
        title=f"an edge counts from this many {count}",
        scale=alt.Scale(domain=[1, far], nice=False, type="log" if far > LINEAR_TO else "linear"),
    )
    reference = of["reference"][0]
    layers = []
    if random is not None:
        band = random.filter(
            (pl.col("reference") == reference) & (pl.col("metric") == metric)
        ).drop_nulls("mean")
        layers += _band(band.sort("min_count"), x) if band.height else []
    layers += [
        _line(_steps(of, metric), metric, x),
        _rule(min_count),
        *_point(of, metric, min_count, far),
    ]
    return alt.layer(*layers).properties(
        width=290, height=220, title=alt.TitleParams(f"{METRICS[metric]}, {reference}", fontSize=12)
    )


def _steps(of: pl.DataFrame, metric: str) -> pl.DataFrame:
    """Step 2, from threshold 1 on."""
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


def _line(steps: pl.DataFrame, metric: str, x: alt.X) -> alt.Chart:
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


def _rule(min_count: int) -> alt.Chart:
    values = [{"min_count": min_count, "label": f"this run: {min_count}"}]
    return (
        alt.Chart(inline(values))
        .mark_rule(style="threshold")
        .encode(x="min_count:Q", tooltip="label:N")
    )


def _point(of: pl.DataFrame, metric: str, min_count: int, far: int) -> list[alt.Chart]:
    """Step 4; none where the ratio has nothing to divide by."""
    row = _ours(of, min_count) or {}
    value = row.get(metric)
    if value is None:
        return []
    base = alt.Chart(inline([{"min_count": min_count, "value": value}])).encode(
        x="min_count:Q", y="value:Q"
    )
    behind = of.filter(pl.col("min_count").is_between(min_count, min_count + far * _LABEL))
    left = far * _LABEL < min_count and any(v > value for v in behind[metric].drop_nulls())
    place: dict[str, Any] = {"align": "right", "dx": -8} if left else {"align": "left", "dx": 8}
    return [
        base.mark_point(filled=True, size=80, opacity=1, color=COLOURS[metric]),
        base.mark_text(**place, dy=-11 if value < 0.9 else 13, fontWeight="bold").encode(
            text=alt.Text("value:Q", format=".2f")
        ),
    ]


def _band(band: pl.DataFrame, x: alt.X) -> list[alt.Chart]:
    """Step 5, from threshold 1 on as the lines."""
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


def _ours(of: pl.DataFrame, min_count: int) -> dict[str, float | None] | None:
    """The row that speaks for the run's threshold."""
    rows = of.filter(pl.col("min_count") >= min_count).head(1).to_dicts()
    return rows[0] if rows else None


def _at(of: pl.DataFrame, min_count: int, count: str) -> str:
    """The run's own ratios in words; a ratio with nothing to divide by has none."""
    where = f"Against {of['reference'][0]}, from {counted(min_count, count)} on: "
    row = _ours(of, min_count)
    if row is None:
        return where + "no edge."
    ratios = [f"{METRICS[m]} {ratio(row[m])}" for m in METRICS]
    return f"{where}{plural(int(row['n_heads'] or 0), 'head')}, {', '.join(ratios)}."
