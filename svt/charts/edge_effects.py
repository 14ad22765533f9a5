"""The effects of single edges on the answer and on the attention score that they write into.

1. The `MOST_EDGES` edges of the largest weight are shown, the largest first; the subtitle has the
   number of the others.
2. Each scope has a panel with the change of the logit difference and its interval, in one colour
   for ablation and one for boosting; the grey interval is that of the same change to random slices.
   A point is filled where the two intervals are disjoint, and hollow also where the prompts are too
   few to decide; the label of an edge ends with the number of prompts.
3. Each scope has another panel with the change of the attention score.
   The panels of a measure have the same x axis.
"""

import altair as alt
import polars as pl

from svt.charts.interventions import (
    EFFECT,
    KIND_COLOURS,
    KIND_NAMES,
    LEGEND,
    SCOPE_NAMES,
    discoveries,
    kind_scale,
    kinds_of,
    scopes_of,
    verdicts,
)
from svt.charts.style import GREY, Chart, message, plural, rule, title

MOST_EDGES = 30
ROW, THICK = 22, 8
"""Pixels of an edge, and the thickness of a bar of the attention score."""
ALL_WIDTH, MOST_WIDTH = 900, 300
"""The width of all panels together, and the largest width of one, in pixels."""
FEW_TICKS = alt.Axis(tickCount=3)
HEADING = "Effects of single edges"
SCORE = "change of the attention score"


def edge_effects(effects: pl.DataFrame) -> Chart:
    """Draw a row for each edge and a column for each scope, for both measures.

    effects: rows of the query `edge_effects`.
    """
    measured = effects.drop_nulls("effect").with_columns(
        label=pl.format("{} ({})", "label", pl.col("n_prompts").max().over("label"))
    )
    if measured.is_empty():
        return message(HEADING, "No edge was changed, or the prompts have no answers.")
    ranked = rank_by_weight(measured)
    order = ranked[:MOST_EDGES]  # 1
    shown = measured.filter(pl.col("label").is_in(order))
    scopes = scopes_of(shown)
    width = min(MOST_WIDTH, ALL_WIDTH // (2 * len(scopes)))
    return alt.hconcat(
        *(_draw_block(shown, order, scopes, width, measure) for measure in (EFFECT, SCORE)),
        spacing=24,
        title=title(HEADING, _describe_edges(len(ranked)), *_describe_verdicts(shown, scopes)),
    )


def rank_by_weight(effects: pl.DataFrame) -> list[str]:
    """Return the labels of the edges, the largest weight first."""
    heaviest = effects.group_by("label").agg(pl.col("weight").max())
    ranked = heaviest.sort("weight", "label", descending=[True, False], nulls_last=True)
    return ranked["label"].to_list()


def _draw_block(
    shown: pl.DataFrame, order: list[str], scopes: list[str], width: int, measure: str
) -> alt.HConcatChart:
    """Draw the panels of a measure, with the labels of edges at the left of the first block."""
    draw = _draw_effects if measure == EFFECT else _draw_scores
    scale = kind_scale(kinds_of(shown), shown["random_low"].is_not_null().any())
    named = alt.Axis(grid=True, labelLimit=300)
    unnamed = alt.Axis(grid=True, labels=False, ticks=False)
    panels = []
    for scope in scopes:
        axis = named if (measure, scope) == (EFFECT, scopes[0]) else unnamed
        base = alt.Chart(shown.filter(scope=scope)).encode(
            alt.Y("label:N", title=None, sort=order, axis=axis),
            yOffset=alt.YOffset("kind:N", sort=list(KIND_COLOURS)),
        )
        panels.append(
            alt.layer(rule("x", "nothing", 0), *draw(base, scale)).properties(
                width=width,
                height=ROW * len(order),
                title=alt.TitleParams(SCOPE_NAMES[scope], fontSize=12, frame="group", offset=6),
            )
        )
    return alt.hconcat(
        *panels, spacing=8, title=alt.TitleParams(measure, fontSize=13)
    ).resolve_scale(x="shared")


def _draw_effects(base: alt.Chart, scale: alt.Scale) -> list[alt.Chart]:
    """Return the marks of random control, interval and effect (step 2)."""
    coloured = base.encode(
        color=alt.Color("kind:N", title=None, scale=scale, legend=LEGEND),
        tooltip=[
            alt.Tooltip("label:N", title="edge"),
            alt.Tooltip("kind:N"),
            alt.Tooltip("effect:Q", title=EFFECT, format="+.3~g"),
            alt.Tooltip("effect_low:Q", title="2.5%", format="+.3~g"),
            alt.Tooltip("effect_high:Q", title="97.5%", format="+.3~g"),
            alt.Tooltip("random_effect:Q", title="random slices", format="+.3~g"),
            alt.Tooltip("random_low:Q", title="random, 2.5%", format="+.3~g"),
            alt.Tooltip("random_high:Q", title="random, 97.5%", format="+.3~g"),
            alt.Tooltip("n_random:Q", title="random draws", format=","),
            alt.Tooltip("p_value:Q", title="p-value", format=".2~g"),
            alt.Tooltip("q_value:Q", title="false discovery rate", format=".2~g"),
            alt.Tooltip("weight:Q", title="mean contribution of the edge", format=".3~g"),
            alt.Tooltip("n_prompts:Q", title="prompts", format=","),
            alt.Tooltip("n_pairs:Q", title="pairs", format=","),
        ],
    )
    return [
        base.transform_filter("isValid(datum.random_low)")
        .mark_rule(strokeWidth=7, opacity=0.45, color=GREY)
        .encode(alt.X("random_low:Q", title=None, axis=FEW_TICKS), x2="random_high:Q"),
        coloured.mark_rule(strokeWidth=1.6).encode(x="effect_low:Q", x2="effect_high:Q"),
        coloured.mark_point(size=34, opacity=1, strokeWidth=1.4).encode(
            x="effect:Q",
            fill=alt.when("datum.beyond")
            .then(alt.Fill("kind:N", title=None, scale=scale, legend=LEGEND))
            .otherwise(alt.value("transparent")),
        ),
    ]


def _draw_scores(base: alt.Chart, scale: alt.Scale) -> list[alt.Chart]:
    """Return the bars of the attention score (step 3)."""
    return [
        base.mark_bar(size=THICK).encode(
            alt.X("score_effect:Q", title=None, axis=FEW_TICKS),
            color=alt.Color("kind:N", scale=scale),
            tooltip=[
                alt.Tooltip("label:N", title="edge"),
                alt.Tooltip("kind:N"),
                alt.Tooltip("score_effect:Q", title=SCORE, format="+.3~g"),
                alt.Tooltip("weight_effect:Q", title="of the attention weight", format="+.3~g"),
                alt.Tooltip("weight:Q", title="mean contribution of the edge", format=".3~g"),
            ],
        )
    ]


def _describe_edges(n_edges: int) -> str:
    shown = f"{plural(n_edges, 'edge')}, the largest weight on top"
    if n_edges > MOST_EDGES:
        more = n_edges - MOST_EDGES
        shown = f"The {MOST_EDGES} edges of the largest weight; {more:,} not shown"
    return f"{shown}; in brackets the number of prompts."


def _describe_verdicts(shown: pl.DataFrame, scopes: list[str]) -> list[str]:
    """Say how many of the edges shown have an effect beyond their random control."""
    decided = shown.drop_nulls("random_low")
    if decided.is_empty():
        return ["Without random controls no effect can be distinguished from chance."]
    kind = kinds_of(decided)[0]
    rows = decided.filter(kind=kind)
    counts = [
        f"{SCOPE_NAMES[scope]} {verdicts(chosen)}"
        for scope in scopes
        if (chosen := rows.filter(scope=scope)).height
    ]
    return [
        "Filled points lie beyond random slices: the edge helps or hinders the answer.",
        f"{KIND_NAMES[kind].capitalize()}: {'. '.join(counts)}.",
        *([f"{text[0].upper()}{text[1:]}."] if (text := discoveries(rows)) else []),
    ]
