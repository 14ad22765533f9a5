"""The faithfulness of the circuit: the logit difference that it keeps if other heads are ablated.

1. Each count threshold keeps a number of heads and is a point; of thresholds that keep the same
   number only the lowest is drawn.
2. A line is the share of the full logit difference that remains; the rule at 1 is the whole model.
   Grey are the mean and range of random sets of as many heads.
3. The subtitle describes the circuit at the threshold of the run.
"""

import altair as alt
import polars as pl

from svt.charts.style import BLUE, GREY, Chart, message, number, plural, rule, title

CIRCUITS = {"share": "traced circuit", "random_mean_share": "as many heads at random"}
ABLATIONS = {"mean": "their mean over prompts", "resample": "those of another prompt"}
HEADING = "Faithfulness of the circuit"


def faithfulness(curve: pl.DataFrame, *, min_count: int = 1) -> Chart:
    """Draw the share that remains over the number of heads kept.

    curve: rows of the query `faithfulness`.
    """
    known = curve.drop_nulls("share").sort("min_count")
    if known.is_empty():
        return message(HEADING, "No faithfulness was measured, or the prompts have no answers.")
    points = known.unique("n_heads", keep="first").sort("n_heads")  # 1
    chance = alt.Chart(points.drop_nulls("random_low")).mark_area(opacity=0.25, color=GREY)
    chance = chance.encode(alt.X("n_heads:Q"), alt.Y("random_low:Q"), y2="random_high:Q")
    return alt.layer(rule("y", "share", 1), chance, _draw_lines(points)).properties(  # 2
        width=560, height=300, title=title(HEADING, *_describe(known, min_count))
    )


def _draw_lines(points: pl.DataFrame) -> alt.Chart:
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


def _describe(known: pl.DataFrame, min_count: int) -> list[str]:
    """Describe the circuit of step 3 and the ablation of the other heads."""
    lines = []
    for row in known.filter(pl.col("min_count") >= min_count).head(1).to_dicts():
        random = row["random_mean_share"]
        lines.append(
            f"From count {min_count:,}: {plural(row['n_heads'], 'head')} keep "
            f"{number(row['share'], '.0%')} of the logit difference"
            + ("." if random is None else f", as many at random {number(random, '.0%')}.")
        )
    ablation = ABLATIONS.get(known["ablation"][0], known["ablation"][0])
    return [*lines, f"All other heads' outputs are replaced by {ablation}."]
