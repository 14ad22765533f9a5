"""How complete a single pass is: the coverage rule against exact effects, over every coverage.

1. One panel a side. Of the heads whose removal lowers the weight by at least 0.02, 0.05 or 0.1, a
   full line is the share that the rule keeps (recall); a dashed one is the share of what it keeps
   that has such an effect (precision).
2. The dashed rule stands at the run's own coverage, whose numbers the title says in words.
"""

import altair as alt
import polars as pl

from svt.charts.style import BLUE, GREEN, ORANGE, Chart, inline, message, number, plural, title

HEADING = "Contributions against exact effects"
PANELS = {"dest": "written at dest", "src": "written at src"}
MEASURES = ["recall", "precision"]
_SIZE = 300  # pixels of a panel


def contribution_vs_effect(rows: pl.DataFrame, *, coverage: float, heading: str = HEADING) -> Chart:
    """Return recall and precision over coverage, a panel a side.

    rows: of the query `contribution_vs_effect`: side layer head min_effect coverage n_pairs
    spearman precision recall; those over all heads are drawn. coverage: the run's.
    """
    overall = rows.filter(pl.col("layer").is_null())
    if overall.is_empty():
        return message(heading, "No pair fires in the prompts that were compared.")
    sides = [side for side in PANELS if side in overall["side"]]
    return alt.hconcat(
        *(_panel(overall.filter(pl.col("side") == side), side, coverage) for side in sides),
        title=title(
            heading,
            f"Heads that write for {plural(int(overall['n_pairs'].to_list()[0]), 'firing pair')}.",
            *(_words(overall.filter(pl.col("side") == side), side, coverage) for side in sides),
        ),
    ).resolve_scale(color="shared", strokeDash="shared")


def _panel(rows: pl.DataFrame, side: str, coverage: float) -> Chart:
    """Step 1."""
    index = ["min_effect", "coverage"]
    shares = rows.unpivot(MEASURES, index=index, variable_name="measure", value_name="share")
    long = shares.drop_nulls("share")
    lines = (
        alt.Chart(long)
        .mark_line(strokeWidth=2)
        .encode(
            alt.X("coverage:Q", title="coverage of the total contribution"),
            alt.Y("share:Q", title="share of heads", scale=alt.Scale(domain=[0, 1])),
            color=alt.Color(
                "min_effect:N",
                title="effect of at least",
                scale=alt.Scale(domain=[0.02, 0.05, 0.1], range=[GREEN, ORANGE, BLUE]),
            ),
            strokeDash=alt.StrokeDash(
                "measure:N",
                title=None,
                scale=alt.Scale(domain=MEASURES, range=[[1, 0], [5, 3]]),
            ),
            tooltip=[
                alt.Tooltip("measure:N"),
                alt.Tooltip("min_effect:N", title="effect of at least"),
                alt.Tooltip("coverage:Q", format=".2f"),
                alt.Tooltip("share:Q", format=".1%"),
            ],
        )
    )
    rule = alt.Chart(inline([{"coverage": coverage}])).mark_rule(style="threshold")  # 2
    return alt.layer(rule.encode(x="coverage:Q"), lines).properties(
        width=_SIZE,
        height=_SIZE,
        title=alt.TitleParams(PANELS[side], fontSize=12, frame="group", offset=8),
    )


def _words(rows: pl.DataFrame, side: str, coverage: float) -> str:
    """Step 2: `At dest, coverage 0.7 keeps 66% of the heads with an effect of 0.1; ...`."""
    at = rows.filter((pl.col("coverage") - coverage).abs() < 0.025, pl.col("min_effect") == 0.1)
    spearman = rows["spearman"][0]
    parts = [
        f"At {side}, coverage {row['coverage']:g} keeps {number(row['recall'], '.0%')} of the "
        "heads with an effect of 0.1 or more, which are "
        f"{number(row['precision'], '.1%')} of what it keeps"
        for row in at.head(1).to_dicts()
        if row["recall"] is not None and row["precision"] is not None
    ]
    if spearman is not None:
        parts.append(f"rank correlation {number(spearman, '.2f')}")
    return "; ".join(parts) + "." if parts else ""
