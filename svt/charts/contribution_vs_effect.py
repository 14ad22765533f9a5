"""The completeness of a trace in a single pass: the coverage rule against exact effects.

1. Each side has a panel over all coverages. For effects of at least 0.02, 0.05 and 0.1 (the weight
   that the removal of a head takes away), a full line is the recall: the share of heads with such
   an effect that the rule keeps. A dashed line is the precision: the share of kept heads with such
   an effect.
2. The dashed rule marks the coverage of the run, whose values the subtitle states.
"""

import altair as alt
import polars as pl

from svt.charts.style import BLUE, GREEN, ORANGE, Chart, message, number, plural, rule, title

HEADING = "Contributions against exact effects"
PANELS = {"dest": "written at dest", "src": "written at src"}
MEASURES = ["recall", "precision"]
_SIZE = 300  # pixels of a panel


def contribution_vs_effect(rows: pl.DataFrame, *, coverage: float) -> Chart:
    """Draw recall and precision over coverage, a panel for each side.

    rows: of the query `contribution_vs_effect`, of which those over all heads are drawn;
    coverage: that of the run.
    """
    overall = rows.filter(pl.col("layer").is_null())
    if overall.is_empty():
        return message(HEADING, "No pair fires in the prompts that were compared.")
    sides = [side for side in PANELS if side in overall["side"]]
    return alt.hconcat(
        *(_draw_panel(overall.filter(side=side), side, coverage) for side in sides),
        title=title(
            HEADING,
            f"Heads that write for {plural(int(overall['n_pairs'].to_list()[0]), 'firing pair')}.",
            *(_describe(overall.filter(side=side), side, coverage) for side in sides),
        ),
    ).resolve_scale(color="shared", strokeDash="shared")


def _draw_panel(rows: pl.DataFrame, side: str, coverage: float) -> Chart:
    """Draw recall and precision of a side for three effects (step 1)."""
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
    return alt.layer(rule("x", "coverage", coverage), lines).properties(  # 2
        width=_SIZE,
        height=_SIZE,
        title=alt.TitleParams(PANELS[side], fontSize=12, frame="group", offset=8),
    )


def _describe(rows: pl.DataFrame, side: str, coverage: float) -> str:
    """Return `At dest, coverage 0.7 keeps 66% of the heads with an effect of 0.1 ...` (step 2)."""
    at = rows.filter((pl.col("coverage") - coverage).abs() < 0.025, pl.col("min_effect") == 0.1)
    spearman = rows["spearman"][0]
    parts = [
        f"At {side}, coverage {row['coverage']:g} keeps {number(row['recall'], '.0%')} of the "
        "heads with an effect of 0.1 or more, which are "
        f"{number(row['precision'], '.1%')} of the heads kept"
        for row in at.head(1).to_dicts()
        if row["recall"] is not None and row["precision"] is not None
    ]
    if spearman is not None:
        parts.append(f"rank correlation {number(spearman, '.2f')}")
    return "; ".join(parts) + "." if parts else ""
