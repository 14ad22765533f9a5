"""How much of the answer the circuit alone still gives, when every other head is ablated.

1. Each count threshold keeps a number of heads; of thresholds that keep the same number the lowest
   is one point.
2. A line is the share of the full logit difference that remains, the rule at 1 where nothing is
   lost; in grey the mean and range of as many heads drawn at random.
3. The circuit of the run's own threshold is told in words.
"""

import altair as alt
import polars as pl

from svt.charts.style import BLUE, GREY, Chart, inline, message, number, plural, title

CIRCUITS = {"share": "traced circuit", "random_mean_share": "as many heads at random"}
OTHERS = {"mean": "their mean over prompts", "resample": "those of another prompt"}
HEADING = "Faithfulness of the circuit"


def faithfulness(curve: pl.DataFrame, *, min_count: int = 1, heading: str = HEADING) -> Chart:
    """The share that remains over the number of heads kept.

    curve: rows of the query `faithfulness`, one a count threshold: min_count n_heads ablation
    share share_above_none accuracy random_mean_share random_low random_high n_random.
    """
    known = curve.drop_nulls("share").sort("min_count")
    if known.is_empty():
        return message(heading, "No circuit was kept alone, or the prompts have no answers.")
    points = known.unique("n_heads", keep="first").sort("n_heads")  # 1
    return alt.layer(_all_heads(), _range(points), _lines(points)).properties(  # 2
        width=560, height=300, title=title(heading, *_told(known, min_count))
    )


def _all_heads() -> alt.Chart:
    return alt.Chart(inline([{"share": 1}])).mark_rule(style="threshold").encode(y="share:Q")


def _range(points: pl.DataFrame) -> alt.Chart:
    return (
        alt.Chart(points.drop_nulls("random_low"))
        .mark_area(opacity=0.25, color=GREY)
        .encode(
            alt.X("n_heads:Q"),
            alt.Y("random_low:Q"),
            y2="random_high:Q",
        )
    )


def _lines(points: pl.DataFrame) -> alt.Chart:
    index = [column for column in points.columns if column not in CIRCUITS]
    lines = points.unpivot(
        list(CIRCUITS), index=index, variable_name="circuit", value_name="kept"
    ).drop_nulls("kept")
    return (
        alt.Chart(lines.with_columns(pl.col("circuit").replace(CIRCUITS)))
        .mark_line(strokeWidth=2, point=alt.OverlayMarkDef(size=36, filled=True))
        .encode(
            alt.X("n_heads:Q", title="heads kept", scale=alt.Scale(nice=False, padding=12)),
            alt.Y("kept:Q", title="share of the logit difference", axis=alt.Axis(format="%")),
            color=alt.Color(
                "circuit:N",
                title=None,
                scale=alt.Scale(domain=list(CIRCUITS.values()), range=[BLUE, GREY]),
                legend=alt.Legend(orient="top", symbolType="stroke", symbolStrokeWidth=3),
            ),
            tooltip=[
                alt.Tooltip("circuit:N"),
                alt.Tooltip("n_heads:Q", title="heads kept", format=","),
                alt.Tooltip("kept:Q", title="of the logit difference", format=".1%"),
                alt.Tooltip("min_count:Q", title="edges from this count on", format=","),
                alt.Tooltip("share_above_none:Q", title="traced, above no head", format=".1%"),
                alt.Tooltip("accuracy:Q", title="traced, right answers", format=".1%"),
                alt.Tooltip("random_low:Q", title="random, least", format=".1%"),
                alt.Tooltip("random_high:Q", title="random, most", format=".1%"),
            ],
        )
    )


def _told(known: pl.DataFrame, min_count: int) -> list[str]:
    """Step 3, and what became of the other heads."""
    lines = []
    for row in known.filter(pl.col("min_count") >= min_count).head(1).to_dicts():
        random = row["random_mean_share"]
        lines.append(
            f"From count {min_count:,}: {plural(row['n_heads'], 'head')} keep "
            f"{number(row['share'], '.0%')} of the logit difference"
            + ("." if random is None else f", as many at random {number(random, '.0%')}.")
        )
    ablation = known["ablation"][0]
    return [*lines, f"All other heads' outputs are replaced by {OTHERS.get(ablation, ablation)}."]
