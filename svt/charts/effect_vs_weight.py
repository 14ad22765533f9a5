"""Whether heavy edges matter more: the weight of each edge against what changing it does.

One panel a scope with a point for each edge and kind, filled where its interval lies apart from
that of random slices; the rank correlations stand above each panel.
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
    zero,
)
from svt.charts.style import Chart, message, number, plural, title

WIDE, MANY_TIMES = 300, 50
"""Pixels of a panel; from this ratio of weights on, their axis is logarithmic."""
HEADING = "Effect against weight"


def effect_vs_weight(
    effects: pl.DataFrame, correlations: pl.DataFrame, *, heading: str = HEADING
) -> Chart:
    """A scatter a scope.

    effects: rows of the query `edge_effects`: label scope kind weight effect beyond;
    correlations: of `effect_vs_weight`: scope kind control spearman.
    """
    measured = effects.drop_nulls(["effect", "weight"])
    if measured.is_empty():
        return message(heading, "No edge was changed, or the prompts have no answers.")
    scopes = scopes_of(measured)
    return alt.hconcat(
        *(_panel(measured, scope, correlations, scope == scopes[0]) for scope in scopes),
        title=title(
            heading,
            f"{plural(measured['label'].n_unique(), 'edge')}; "
            "filled where the effect lies beyond random slices.",
        ),
    ).resolve_scale(y="shared")


def _panel(measured: pl.DataFrame, scope: str, correlations: pl.DataFrame, first: bool) -> Chart:
    scale = kind_scale(kinds_of(measured), random=False)
    points = (
        alt.Chart(measured.filter(pl.col("scope") == scope))
        .mark_point(size=40, opacity=0.85, strokeWidth=1.4)
        .encode(
            alt.X(
                "weight:Q",
                title="mean contribution of the edge",
                scale=_weights(measured["weight"]),
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
    return alt.layer(zero("y"), points).properties(
        width=WIDE,
        height=WIDE,
        title=alt.TitleParams(
            SCOPE_NAMES[scope],
            subtitle=_correlation(correlations, scope),
            fontSize=12,
            frame="group",
            offset=8,
        ),
    )


def _weights(weights: pl.Series) -> alt.Scale:
    """Logarithmic where few heavy edges would press the others together."""
    sizes = weights.to_list()
    far = min(sizes) > 0 and max(sizes) > MANY_TIMES * min(sizes)
    return alt.Scale(type="log" if far else "linear", zero=False, nice=False, padding=10)


def _correlation(correlations: pl.DataFrame, scope: str) -> str:
    """`rank correlation: ablate −0.62, boost +0.55`; undefined where all effects are equal."""
    found = {
        row["kind"]: "undefined" if row["spearman"] is None else number(row["spearman"], "+.2f")
        for row in correlations.filter(
            (pl.col("scope") == scope) & (pl.col("control") == "signal")
        ).to_dicts()
    }
    told = [f"{kind} {found[kind]}" for kind in kinds_of(correlations) if kind in found]
    return f"rank correlation: {', '.join(told)}" if told else ""
