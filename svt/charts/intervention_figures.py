"""Figures of the interventions: the effects of edges and sets, and of the circuit alone."""

from svt.charts.disturbance import disturbance
from svt.charts.edge_effects import edge_effects
from svt.charts.effect_vs_weight import effect_vs_weight
from svt.charts.faithfulness import faithfulness
from svt.charts.figure import Context, FigureSpec, RunQuery
from svt.charts.set_effects import set_effects
from svt.charts.style import Chart


def _draw_edge_effects(ask: RunQuery, context: Context) -> Chart:
    """Draw the edges into chart.heads, or all edges if no heads are set."""
    edges, heads = ask("edge_effects"), context.chart.heads
    if heads is not None:
        edges = edges.filter([at in heads for at in edges.select("layer", "head").iter_rows()])
    return edge_effects(edges)


_NEEDS = ("intervention_effects",)

INTERVENTION_FIGURES = {
    "edge_effects": FigureSpec(
        "What single edges do",
        "Each row is an edge whose signal was removed or added a second time, in the whole model "
        "(global) or only for the head that reads it (local); a point far from the grey bar, which "
        "is the same change to random slices, is an edge that the answer depends on.",
        _draw_edge_effects,
        needs=_NEEDS,
    ),
    "effect_vs_weight": FigureSpec(
        "Do heavy edges matter more?",
        "Each point is an edge: the further to the right, the larger its contribution to an "
        "attention score, and the further from the line, the larger the change of the answer.",
        lambda ask, _: effect_vs_weight(ask("edge_effects"), ask("effect_vs_weight")),
        needs=_NEEDS,
    ),
    "set_effects": FigureSpec(
        "What edges do together",
        "A point on its diamond is a set whose edges act independently of one another; a point "
        "nearer to zero shows edges with overlapping effects, one further away edges that "
        "compensate for one another.",
        lambda ask, _: set_effects(ask("additivity")),
        needs=_NEEDS,
    ),
    "disturbance": FigureSpec(
        "How little is changed",
        "The more of a line is at 1, the less the interventions disturb the vector that they "
        "change; where values are far from 1, effects may come from a broken model.",
        lambda ask, _: disturbance(ask("disturbance")),
        needs=_NEEDS,
    ),
    "faithfulness": FigureSpec(
        "What the circuit alone can do",
        "The higher the blue line above the grey one, the better the traced heads alone do the "
        "task, compared with the same number of random heads.",
        lambda ask, context: faithfulness(ask("faithfulness"), min_count=context.min_count),
        needs=("faithfulness",),
    ),
}
