"""The effect of each edge against its weight.

Each scope has a panel with a point for each edge and kind, filled where its interval is disjoint
from that of random slices; the rank correlations are above the panel.
"""

import altair as alt
import polars as pl

from svt.charts.interventions import (
    EFFECT,
    LEGEND,
    SCOPE_NAMES,
    kind_scale,
    kinds_of,
    scopes_of,
)
from svt.charts.style import Chart, message, number, plural, rule, title

WIDE, MANY_TIMES = 300, 50
"""Pixels of a panel; the ratio of weights from which on their axis is logarithmic."""
HEADING = "Effect against weight"


def effect_vs_weight(effects: pl.DataFrame, correlations: pl.DataFrame) -> Chart:
    """Draw a scatter plot for each scope.

    effects: rows of the query `edge_effects`; correlations: of `effect_vs_weight`.
    """
    measured = effects.drop_nulls(["effect", "weight"])
    if measured.is_empty():
        return message(HEADING, "No edge was changed, or the prompts have no answers.")
    scopes = scopes_of(measured)
    return alt.hconcat(
        *(_draw_panel(measured, scope, correlations, scope == scopes[0]) for scope in scopes),
        title=title(
            HEADING,
            f"{plural(measured['label'].n_unique(), 'edge')}; "
            "filled where the effect lies beyond random slices.",
        ),
    ).resolve_scale(y="shared")


def _draw_panel(
    measured: pl.DataFrame, scope: str, correlations: pl.DataFrame, first: bool
) -> Chart:
    scale = kind_scale(kinds_of(measured), random=False)
    points = (
        alt.Chart(measured.filter(scope=scope))
        .mark_point(size=40, opacity=0.85, strokeWidth=1.4)
        .encode(
            alt.X(
                "weight:Q",
                title="mean contribution of the edge",
                scale=_scale_weights(measured["weight"]),
            ),
            alt.Y("effect:Q", title=EFFECT if first else None),
            color=alt.Color("kind:N", title=None, scale=scale, legend=LEGEND),
            fill=alt.when("datum.beyond")
            .then(alt.Fill("kind:N", title=None, scale=scale, legend=LEGEND))
            .otherwise(alt.value("transparent")),
            tooltip=[
                alt.Tooltip("label:N", title="edge"),
                alt.Tooltip("kind:N"),
                alt.Tooltip("weight:Q", title="mean contribution of the edge", format=".3~g"),
                alt.Tooltip("effect:Q", title=EFFECT, format="+.3~g"),
            ],
        )
    )
    return alt.layer(rule("y", "nothing", 0), points).properties(
        width=WIDE,
        height=WIDE,
        title=alt.TitleParams(
            SCOPE_NAMES[scope],
            subtitle=_describe_correlations(correlations, scope),
            fontSize=12,
            frame="group",
            offset=8,
        ),
    )


def _scale_weights(weights: pl.Series) -> alt.Scale:
    """Return a scale for the weights, logarithmic if their ratio exceeds `MANY_TIMES`."""
    sizes = weights.to_list()
    logarithmic = min(sizes) > 0 and max(sizes) > MANY_TIMES * min(sizes)
    return alt.Scale(type="log" if logarithmic else "linear", zero=False, nice=False, padding=10)


def _describe_correlations(correlations: pl.DataFrame, scope: str) -> str:
    """Return `rank correlation: ablate −0.62, boost +0.55`; undefined if all effects are equal."""
    here = correlations.filter(scope=scope, control="signal")
    spearman = dict(here.select("kind", "spearman").iter_rows())
    values = [
        f"{kind} {'undefined' if spearman[kind] is None else number(spearman[kind], '+.2f')}"
        for kind in kinds_of(here)
    ]
    return f"rank correlation: {', '.join(values)}" if values else ""
