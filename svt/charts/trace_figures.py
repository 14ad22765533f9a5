"""Figures of the trace: the graph and its parts, its evaluation, and its prompts."""

import polars as pl

from svt.charts.contribution_vs_effect import contribution_vs_effect
from svt.charts.figure import ALL_SLICES, EFFECTS, Context, FigureSpec, RunQuery
from svt.charts.firing_rates import KINDS, firing_rates
from svt.charts.graph import graph, select_top_layers, with_roles, with_verdicts
from svt.charts.graph_strength import DECIMALS, with_effects
from svt.charts.layout import Node
from svt.charts.precision_recall import precision_recall
from svt.charts.prompt_families import prompt_families
from svt.charts.prompt_graph import prompt_graph
from svt.charts.style import Chart

MOST_PROMPTS = 8
"""The most prompts in the menu of prompt_graph: a page with 256 prompts is too large to open."""


def _draw_graph(
    ask: RunQuery, context: Context, *, frequent: bool = False, top: bool = False
) -> Chart:
    """Draw the traced graph, its `frequent` edges alone, or its `top` layers alone."""
    edges, left_out = with_verdicts(ask("graph_links", min_count=0), ask("validated_edges")), ""
    nodes = with_roles(ask("graph_nodes", min_count=0), ask("head_roles", min_share=0.0))
    if context.by_effect:
        roots = [Node(*root, context.trace.root_dest) for root in context.roots]
        edges, left_out = with_effects(edges, roots, context.n_prompts)
    threshold = _threshold(context, frequent)
    heading = f"{context.imported}, imported" if context.imported else "Traced graph"
    if frequent:
        heading = "Skeleton of the traced graph"
    if top:
        heading = f"Top layers of {context.imported or 'the traced graph'}"
        column = "strength" if context.by_effect else f"n_{context.trace.count}"
        edges, lowest_layer, left_out = select_top_layers(edges, column, threshold)
        nodes = nodes.filter(pl.col("layer") >= lowest_layer)
    return graph(
        edges,
        nodes,
        root_dest=context.trace.root_dest,
        count=context.trace.count,
        min_count=threshold,
        by_effect=context.by_effect,
        heading=f"{heading}, by effect" if context.by_effect else heading,
        left_out=left_out,
        rule="" if context.imported else _describe_rule(context),
        order=ask("place_order")["role"].to_list() if context.imported is None else (),
        answer=ask("answer_edges") if context.imported is None else None,
    )


def _draw_all_slices(ask: RunQuery, context: Context) -> Chart:
    return graph(
        ask("graph_links_all_slices", min_count=0),
        ask("known_heads"),
        root_dest=context.trace.root_dest,
        count=context.trace.count,
        min_count=context.min_count,
        heading="Traced graph, without singular vectors",
        order=ask("place_order")["role"].to_list(),
    )


def _threshold(context: Context, frequent: bool = False) -> float:
    """Return the lowest count of edges to show or, by effect, their lowest mean effect.

    The latter is the mean over the prompts of an effect of trace.min_effect in the lowest share of
    prompts. With `frequent` that share is two thirds, or that of the run if it is higher.
    """
    if context.by_effect:
        share = max(context.min_share, 2 / 3) if frequent else context.min_share
        return round(context.trace.min_effect * share, DECIMALS)
    return max(context.min_count, context.n_prompts * 2 // 3) if frequent else context.min_count


def _describe_rule(context: Context) -> str:
    """Say what the trace keeps and how the edges are ordered."""
    trace = context.trace
    kept = (
        f"the strongest contributions that exceed {trace.coverage:.0%} of a side's total"
        if trace.rule == "coverage"
        else f"heads whose removal lowers the attention weight by at least {trace.min_effect:g}"
    )
    order = (
        "the weight lost without them, mean over the prompts" if context.by_effect else trace.count
    )
    return f"Traced by {trace.rule}: {kept}. Edges are ordered by {order}."


def _draw_prompts(ask: RunQuery, context: Context) -> Chart:
    """Draw the graphs of at most `MOST_PROMPTS` prompts, chart.prompt_id first."""
    traced = ask("traced_prompts")
    first = context.chart.prompt_id
    ids = [] if first is None else [first]
    ids = [*ids, *(n for n in traced["prompt_id"].to_list() if n not in ids)][:MOST_PROMPTS]
    prompts = [(ask("prompt_graph", prompt_id=n), ask("prompt_tokens", prompt_id=n)) for n in ids]
    if first is not None and prompts[0][0].is_empty():
        prompts = []  # no other prompt replaces chart.prompt_id
    return prompt_graph(prompts, traced.height, by_effect=context.chart.edges != "coverage")


def _draw_firing_rates(ask: RunQuery, context: Context) -> Chart:
    """Draw the traced firings between tokens with roles, from context.min_share of a group on."""
    share = context.min_share
    rates = {
        by: ask("firing_rates", by=by, traced=True).drop_nulls(["dest_role", "src_role"])
        for by in KINDS
    }
    shown = f"Traced firings between tokens with roles, in {share:.0%} or more of a row's prompts."
    overlap = _describe_overlap(ask("circuit_overlap"))
    return firing_rates(rates, min_rate=share, notes=[shown, *overlap])


def _describe_overlap(pairs: pl.DataFrame) -> list[str]:
    """Say what share of their edges two prompts have in common; no line if it is not known."""
    means = dict(pairs.select("pairs", "mean").iter_rows())
    if "all" not in means:
        return []
    same = [
        f", {means[f'same {kind}']:.0%} with the same {name}"
        for kind, name in KINDS.items()
        if f"same {kind}" in means
    ]
    shared = f"Two prompts share {means['all']:.0%} of their traced edges{''.join(same)}"
    return [f"{shared} (mean Jaccard index)."]


TRACE_FIGURES = {
    "graph": FigureSpec(
        "The traced graph",
        "Read it upwards: a line is a signal from a head into a token, where the head above reads "
        "it; thick lines are large contributions or effects, faint lines occur in few prompts, and "
        "pointing at a line or a head shows its numbers.",
        _draw_graph,
        needs=("graph_edges",),
    ),
    "graph_skeleton": FigureSpec(
        "The frequent skeleton",
        "The same graph, its frequent edges alone: those in two thirds of the prompts or, by "
        "effect, those whose mean effect is at least two thirds of the smallest that counts.",
        lambda ask, context: _draw_graph(ask, context, frequent=True),
        needs=("graph_edges", "prompts"),
    ),
    "prompt_graph": FigureSpec(
        "One prompt",
        "Read it upwards: a disc is a head that attends from the token of its column, and a line "
        "is a signal from one head to another, the thicker the more it raises the attention of the "
        "head above; pointing at a disc or a line shows its numbers.",
        _draw_prompts,
        needs=("trace_pairs", "pairs"),
    ),
    "graph_top": FigureSpec(
        "The top layers",
        "The upper third of the traced layers: heads side by side with lines to the same head "
        "above are parallel paths, and one may do the work of another.",
        lambda ask, context: _draw_graph(ask, context, top=True),
        default=False,
        needs=("graph_edges",),
    ),
    "graph_all_slices": FigureSpec(
        "The graph without singular vectors",
        "The same trace with whole contributions instead of signals: heads and lines that are not "
        "in the traced graph come from the slices outside the signal.",
        _draw_all_slices,
        default=False,
        needs=(ALL_SLICES,),
    ),
    "precision_recall": FigureSpec(
        "Precision and recall",
        "The further to the right, the more often an edge must occur and the fewer heads remain: "
        "precision is the share of these heads that are in the reference, recall the share of the "
        "reference that is among them; a line above the grey band is better than chance.",
        lambda ask, context: precision_recall(
            ask("precision_recall"),
            count=context.trace.count,
            min_count=context.min_count,
            random=ask("random_band"),
        ),
        needs=("evaluation",),
    ),
    "contribution_vs_effect": FigureSpec(
        "Contributions against exact effects",
        "How complete the trace is: where a full line is high at the dashed rule, the trace misses "
        "few of the heads whose removal lowers the attention; where a dashed line is low, the "
        "removal of most of the kept heads has little effect.",
        lambda ask, context: contribution_vs_effect(
            ask("contribution_vs_effect"), coverage=context.trace.coverage
        ),
        needs=(EFFECTS,),
    ),
    "firing_rates": FigureSpec(
        "The heads, template by template",
        "Each square is a head of the trace in the prompts of one template or one order of the "
        "names: the stronger the colour, the larger the share of these prompts in which it attends "
        "between the two tokens named below.",
        _draw_firing_rates,
        needs=("trace_pairs",),
    ),
    "prompt_families": FigureSpec(
        "Families of prompts",
        "Above, prompts with similar traces are side by side, and colours that change at the same "
        "place show groups that agree; below, the stronger the colour, the larger the share of the "
        "traces of a family that contain the head.",
        lambda ask, _: prompt_families(
            ask("prompt_families"), ask("family_members"), ask("family_heads", min_difference=0.0)
        ),
        needs=("families",),
    ),
}
