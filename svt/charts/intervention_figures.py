"""Figures of the interventions: which traced edges are causal, and how little was changed."""

from collections.abc import Sequence

import polars as pl

from svt.charts.disturbance import disturbance
from svt.charts.edge_effects import edge_effects
from svt.charts.effect_vs_weight import effect_vs_weight
from svt.charts.faithfulness import faithfulness
from svt.charts.figure import Ask, Context, FigureSpec
from svt.charts.set_effects import set_effects
from svt.charts.style import Chart


def _edge_effects(ask: Ask, context: Context) -> Chart:
    return edge_effects(_into(ask("edge_effects"), context.chart.heads))


def _set_effects(ask: Ask, context: Context) -> Chart:
    return set_effects(ask("additivity"))


def _disturbance(ask: Ask, context: Context) -> Chart:
    return disturbance(ask("disturbance"))


def _effect_vs_weight(ask: Ask, context: Context) -> Chart:
    return effect_vs_weight(ask("edge_effects"), ask("effect_vs_weight"))


def _faithfulness(ask: Ask, context: Context) -> Chart:
    return faithfulness(ask("faithfulness"), min_count=context.min_count)


def _into(edges: pl.DataFrame, heads: Sequence[tuple[int, int]] | None) -> pl.DataFrame:
    """The edges into `heads`, all if none are named."""
    if heads is None:
        return edges
    wanted = pl.DataFrame(
        list(heads), schema={name: edges.schema[name] for name in ("layer", "head")}, orient="row"
    )
    return edges.join(wanted, on=["layer", "head"], how="semi", maintain_order="left")


_CHANGED = ("intervention_effects",)

INTERVENTION_FIGURES = {
    "edge_effects": FigureSpec(
        "What single edges do",
        "Each row is an edge whose signal was taken away or added once more, in the whole model "
        "(global) or only for the head that reads it (local); a point far from the grey bar, which "
        "is the same change to random slices, is an edge that the answer depends on.",
        _edge_effects,
        needs=_CHANGED,
    ),
    "effect_vs_weight": FigureSpec(
        "Do heavy edges matter more?",
        "Each point is an edge: the further it lies to the right, the more it adds to an attention "
        "score, and the further from the line, the more changing it moves the answer.",
        _effect_vs_weight,
        needs=_CHANGED,
    ),
    "set_effects": FigureSpec(
        "What edges do together",
        "A point on its diamond is a set whose edges act independently of one another; nearer to "
        "zero they do the same work twice, further away they stand in for one another.",
        _set_effects,
        needs=_CHANGED,
    ),
    "disturbance": FigureSpec(
        "How little is changed",
        "The more of a line lies at 1, the less the changes disturb the vector that they touch; "
        "effects that come with values far from 1 may be those of a broken model.",
        _disturbance,
        needs=_CHANGED,
    ),
    "faithfulness": FigureSpec(
        "What the circuit alone can do",
        "The higher the blue line above the grey one, the better the traced heads alone do the "
        "task, compared with as many heads drawn at random.",
        _faithfulness,
        needs=("faithfulness",),
    ),
}
