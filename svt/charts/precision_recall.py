"""Precision and recall of the traced circuit for every count threshold.

1. Of the `evaluation` rows the chosen reference and kind of count are kept.
   A row speaks for every threshold above the next lower row's.
2. Rows that say the same as the next higher row are dropped: the lines are steps, nothing is lost.
3. The run's own threshold is a rule; the ratios there are points, with their values.
4. Where random head sets of the same size are given, their mean and 95% range stand beside the
   points.
"""

import altair as alt
import polars as pl

from svt.charts.style import BLUE, GREEN, ORANGE, Chart, inline, message, plural, title

METRICS = {"precision": "precision", "recall": "recall", "recall_reachable": "reachable recall"}
COLOURS = {"precision": BLUE, "recall": ORANGE, "reachable recall": GREEN}
LINEAR_TO = 2000
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

    evaluation: rows of the query `precision_recall`, one reference: reference count min_count
    n_heads tp precision recall recall_reachable;
    random: of `random_baseline`, at the run's threshold: metric mean low high.
    """
    chosen = evaluation.filter(pl.col("count") == count).sort("min_count")  # 1
    if chosen.is_empty():
        return message(heading, "No evaluation: no reference was chosen, or nothing was traced.")
    ours = chosen.filter(pl.col("min_count") >= min_count).head(1)
    far = max(*chosen["min_count"].to_list(), min_count)
    return alt.layer(
        _lines(_steps(chosen), count, far),
        _rule(min_count),
        *([] if random is None or random.is_empty() else _random(random, min_count)),
        *_points(ours, min_count),
    ).properties(
        width=560,
        height=300,
        title=title(
            heading,
            f"Against {chosen['reference'][0]}. " + _at(ours, min_count, count),
            "Bars: mean and 95% range of as many heads drawn at random."
            if random is not None and random.height
            else "",
        ),
    )


def _steps(chosen: pl.DataFrame) -> pl.DataFrame:
    """Step 2, from threshold 1 on, as one row for each threshold and metric."""
    ratios = list(METRICS)
    changes = pl.struct("n_heads", "tp").ne_missing(pl.struct("n_heads", "tp").shift(-1))
    return (
        pl.concat(
            [chosen.head(1).with_columns(min_count=pl.lit(1)), chosen.filter(changes)],
            how="vertical_relaxed",
        )
        .unpivot(ratios, index=["min_count", "n_heads", "tp"], variable_name="metric")
        .with_columns(pl.col("metric").replace(METRICS))
        .drop_nulls("value")
    )


def _colour() -> alt.Color:
    return alt.Color(
        "metric:N",
        title=None,
        scale=alt.Scale(domain=list(COLOURS), range=list(COLOURS.values())),
        legend=alt.Legend(symbolType="stroke", symbolStrokeWidth=3, symbolOpacity=1),
    )


def _lines(steps: pl.DataFrame, count: str, far: int) -> alt.Chart:
    chart: alt.Chart = (
        alt.Chart(steps)
        .mark_line(interpolate="step-before", strokeWidth=2)
        .encode(
            alt.X(
                "min_count:Q",
                title=f"an edge counts from this many {count}",
                scale=alt.Scale(
                    domain=[1, far], nice=False, type="log" if far > LINEAR_TO else "linear"
                ),
            ),
            alt.Y("value:Q", title="share", scale=alt.Scale(domain=[0, 1])),
            color=_colour(),
            tooltip=[
                alt.Tooltip("metric:N"),
                alt.Tooltip("value:Q", format=".3f"),
                alt.Tooltip("min_count:Q", title=f"{count} at least"),
                alt.Tooltip("n_heads:Q", title="heads"),
                alt.Tooltip("tp:Q", title="of them in the reference"),
            ],
        )
    )
    return chart


def _rule(min_count: int) -> alt.Chart:
    values = [{"min_count": min_count, "label": f"this run: {min_count}"}]
    chart: alt.Chart = (
        alt.Chart(inline(values))
        .mark_rule(style="threshold")
        .encode(x="min_count:Q", tooltip="label:N")
    )
    return chart


def _points(ours: pl.DataFrame, min_count: int) -> list[alt.Chart]:
    values = _steps(ours).with_columns(min_count=pl.lit(min_count)).unique(maintain_order=True)
    if values.is_empty():
        return []
    return [
        alt.Chart(values)
        .mark_point(filled=True, size=80, opacity=1)
        .encode(
            x="min_count:Q",
            y="value:Q",
            color=_colour(),
            tooltip=["metric:N", alt.Tooltip("value:Q", format=".3f")],
        )
    ]


def _random(random: pl.DataFrame, min_count: int) -> list[alt.Chart]:
    """A bar from low to high with a tick at the mean, the metrics side by side."""
    place = {name: 8 + 9 * i for i, name in enumerate(COLOURS)}
    layers = []
    known = random.filter(pl.col("metric").is_in(list(METRICS))).drop_nulls("mean")
    for row in known.with_columns(pl.col("metric").replace(METRICS)).to_dicts():
        values = inline([row | {"min_count": min_count}])
        tooltip = [
            alt.Tooltip("metric:N"),
            alt.Tooltip("mean:Q", title="random: mean", format=".3f"),
            alt.Tooltip("low:Q", title="2.5%", format=".3f"),
            alt.Tooltip("high:Q", title="97.5%", format=".3f"),
        ]
        base = alt.Chart(values).encode(x="min_count:Q", color=_colour(), tooltip=tooltip)
        shift = place[row["metric"]]
        layers += [
            base.mark_rule(strokeWidth=3, opacity=0.5, xOffset=shift, x2Offset=shift).encode(
                y="low:Q", y2="high:Q"
            ),
            base.mark_tick(
                orient="horizontal", thickness=3, size=9, opacity=1, xOffset=shift
            ).encode(y="mean:Q"),
        ]
    return layers


def _at(ours: pl.DataFrame, min_count: int, count: str) -> str:
    """The run's own ratios in words; a ratio with nothing to divide by has none."""
    where = f"From {plural(min_count, count.removesuffix('s'))}: "
    if ours.is_empty():
        return where + "no edge."
    row = ours.to_dicts()[0]
    ratios = [f"{METRICS[m]} {_ratio(row[m])}" for m in METRICS]
    return f"{where}{plural(row['n_heads'], 'head')}, {', '.join(ratios)}."


def _ratio(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.2f}"
