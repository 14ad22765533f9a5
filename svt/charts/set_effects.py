"""The effects of sets of edges, compared with the sum of the effects of their members.

1. Of each arrangement (parallel, serial, outgoing) the `MOST_SETS` sets of the largest absolute
   effect in any scope and kind are shown; the subtitle has the number of the others.
2. Each kind has a column and each arrangement a panel; colours are scopes. A point is the effect of
   the set, with its interval; a diamond is the sum over its members; a line joins the two: the
   longer it is, the less additive the set. The panels of a column have the same x axis.
"""

import altair as alt
import polars as pl

from svt.charts.interventions import (
    ARRANGEMENTS,
    EFFECT,
    LEGEND,
    SCOPE_COLOURS,
    SCOPE_NAMES,
    kinds_of,
    scopes_of,
)
from svt.charts.style import Chart, message, plural, rule, title

MOST_SETS = 10
ROW, WIDTH = 13, 330
"""Pixels of a scope of a set, and the width of a panel."""
OTHER = "other sets"
HEADING = "Sets of edges"


def set_effects(sets: pl.DataFrame) -> Chart:
    """Draw a column of panels for each kind.

    sets: rows of the query `additivity`.
    """
    name = pl.col("label").str.replace(r"^[a-z]+: ", "")  # without the arrangement
    measured = sets.drop_nulls("effect").with_columns(
        pl.col("arrangement").fill_null(OTHER), set=pl.format("{} ({})", name, "n_edges")
    )
    if measured.is_empty():
        return message(HEADING, "No set of edges was changed, or the prompts have no answers.")
    present = set(measured["arrangement"].to_list())
    known = [name for name in ARRANGEMENTS if name in present]
    names = [*known, *sorted(present.difference(known))]
    orders = {name: _rank_sets(measured, name) for name in names}
    n_all = measured.select("arrangement", "set").n_unique()
    shown = {name: order[:MOST_SETS] for name, order in orders.items()}  # 1
    n_shown = sum(map(len, shown.values()))
    return alt.hconcat(
        *(_draw_column(measured, shown, kind) for kind in kinds_of(measured)),
        spacing=24,
        title=title(
            HEADING,
            f"{plural(n_shown, 'set')}, in brackets the number of edges. Point: all changed "
            "together, with the interval. Diamond: the sum of the effects of single edges.",
            f"{n_all - n_shown:,} sets of smaller effect not shown." if n_all > n_shown else "",
        ),
    )


def _rank_sets(measured: pl.DataFrame, arrangement: str) -> list[str]:
    """Return the sets of an arrangement, the largest absolute effect first."""
    ranked = (
        measured.filter(arrangement=arrangement)
        .group_by("set")
        .agg(pl.col("effect").abs().max())
        .sort("effect", "set", descending=[True, False])
    )
    return ranked["set"].to_list()


def _draw_column(
    measured: pl.DataFrame, shown: dict[str, list[str]], kind: str
) -> alt.VConcatChart:
    """Draw the panels of a kind, with the labels of sets at the left of the first column."""
    scopes = scopes_of(measured)
    named = kind == kinds_of(measured)[0]
    of_kind = measured.filter(kind=kind)
    panels = [
        _draw_panel(
            of_kind.filter(pl.col("set").is_in(order), arrangement=name),
            alt.Y(
                "set:N",
                title=None,
                sort=order,
                scale=alt.Scale(domain=order),
                axis=alt.Axis(grid=True, labels=named, ticks=named, labelLimit=300),
            ),
            scopes,
        ).properties(
            width=WIDTH,
            height=ROW * len(scopes) * len(order),
            title=alt.TitleParams(name, fontSize=12, frame="group", offset=6),
        )
        for name, order in shown.items()
    ]
    return alt.vconcat(
        *panels, spacing=12, title=alt.TitleParams(f"{kind}: {EFFECT}", fontSize=13)
    ).resolve_scale(x="shared")


def _draw_panel(sets: pl.DataFrame, y: alt.Y, scopes: list[str]) -> Chart:
    """Draw the effects of the sets and the sums of their members (step 2)."""
    names = [SCOPE_NAMES[scope] for scope in scopes]
    scale = alt.Scale(domain=names, range=[SCOPE_COLOURS[scope] for scope in scopes])
    base = alt.Chart(sets.with_columns(pl.col("scope").replace(SCOPE_NAMES))).encode(
        y,
        yOffset=alt.YOffset("scope:N", sort=names),
        color=alt.Color("scope:N", title=None, scale=scale, legend=LEGEND),
        tooltip=[
            alt.Tooltip("label:N", title="set"),
            alt.Tooltip("scope:N"),
            alt.Tooltip("n_edges:Q", title="edges", format=","),
            alt.Tooltip("effect:Q", title="together", format="+.3~g"),
            alt.Tooltip("effect_low:Q", title="2.5%", format="+.3~g"),
            alt.Tooltip("effect_high:Q", title="97.5%", format="+.3~g"),
            alt.Tooltip("sum_of_members:Q", title="sum of single effects", format="+.3~g"),
            alt.Tooltip("ratio:Q", title="together / sum", format=".2f"),
            alt.Tooltip("n_prompts:Q", title="prompts", format=","),
        ],
    )
    return alt.layer(
        rule("x", "nothing", 0),
        base.mark_rule(strokeWidth=1, strokeDash=[2, 2]).encode(
            alt.X("effect:Q", title=None, axis=alt.Axis(tickCount=5)), x2="sum_of_members:Q"
        ),
        base.mark_rule(strokeWidth=2.4).encode(x="effect_low:Q", x2="effect_high:Q"),
        base.mark_point(size=34, filled=True, opacity=1).encode(x="effect:Q"),
        base.mark_point(shape="diamond", size=44, opacity=1, strokeWidth=1.4).encode(
            x="sum_of_members:Q"
        ),
    )
