"""Figures of the trace: the graph, whole and in parts, and how it stands against a reference."""

import polars as pl

from svt.charts.contribution_vs_effect import contribution_vs_effect
from svt.charts.figure import ALL_SLICES, EFFECTS, Ask, Context, FigureSpec
from svt.charts.firing_rates import KINDS, firing_rates
from svt.charts.graph import graph, top_layers, with_roles, with_verdicts
from svt.charts.graph_strength import DECIMALS, with_effects
from svt.charts.layout import Node
from svt.charts.precision_recall import precision_recall
from svt.charts.prompt_families import prompt_families
from svt.charts.prompt_graph import prompt_graph
from svt.charts.style import Chart

MOST_PROMPTS = 8
"""In the menu of prompt_graph: a page of 256 prompts would be too large to open."""


def _graph(ask: Ask, context: Context) -> Chart:
    heading = f"{context.imported}, imported" if context.imported else "Traced graph"
    return _drawn(ask, *_frames(ask, context), context, heading)


def _graph_top(ask: Ask, context: Context) -> Chart:
    edges, nodes, _ = _frames(ask, context)
    column = "strength" if context.by_effect else f"n_{context.trace.count}"
    top, least, told = top_layers(edges, column, _least_shown(context))
    heads = nodes.filter(pl.col("layer") >= least)
    heading = f"Top layers of {context.imported or 'the traced graph'}"
    return _drawn(ask, top, heads, told, context, heading)


def _graph_skeleton(ask: Ask, context: Context) -> Chart:
    """From two thirds of the prompts on, as 170 of 256, or from the run's threshold if higher."""
    heading = "Skeleton of the traced graph"
    return _drawn(ask, *_frames(ask, context), context, heading, frequent=True)


def _graph_all_slices(ask: Ask, context: Context) -> Chart:
    return graph(
        ask("graph_links_all_slices", min_count=0),
        ask("known_heads"),
        root_dest=context.trace.root_dest,
        count=context.trace.count,
        min_count=context.min_count,
        heading="Traced graph, without singular vectors",
        order=ask("place_order")["role"].to_list(),
    )


def _frames(ask: Ask, context: Context) -> tuple[pl.DataFrame, pl.DataFrame, str]:
    """The edges, of which interventions may have said whether they are causal, and the nodes.

    With a sentence on the edges that a graph by effect cannot show.
    """
    edges, left_out = with_verdicts(ask("graph_links", min_count=0), ask("validated_edges")), ""
    nodes = with_roles(ask("graph_nodes", min_count=0), ask("head_roles", min_share=0.0))
    if context.by_effect:
        roots = [Node(*root, context.trace.root_dest) for root in context.roots]
        edges, left_out = with_effects(edges, roots, context.n_prompts)
    return edges, nodes, left_out


def _least_shown(context: Context, frequent: bool = False) -> float:
    """The count from which edges are shown or, by effect, the mean effect over the prompts.

    That of an edge with trace.min_effect in the least share of the prompts, two thirds if frequent.
    """
    if context.by_effect:
        share = max(context.min_share, 2 / 3) if frequent else context.min_share
        return round(context.trace.min_effect * share, DECIMALS)
    return max(context.min_count, context.n_prompts * 2 // 3) if frequent else context.min_count


def _drawn(
    ask: Ask,
    edges: pl.DataFrame,
    nodes: pl.DataFrame,
    left_out: str,
    context: Context,
    heading: str,
    *,
    frequent: bool = False,
) -> Chart:
    return graph(
        edges,
        nodes,
        root_dest=context.trace.root_dest,
        count=context.trace.count,
        min_count=_least_shown(context, frequent),
        by_effect=context.by_effect,
        heading=f"{heading}, by effect" if context.by_effect else heading,
        left_out=left_out,
        rule="" if context.imported else _rule(context),
        order=ask("place_order")["role"].to_list() if context.imported is None else (),
        answer=ask("answer_edges") if context.imported is None else None,
    )


def _rule(context: Context) -> str:
    """What the trace kept, and what the picture is drawn by, in words."""
    trace = context.trace
    kept = (
        f"the strongest contributions that exceed {trace.coverage:.0%} of a side's total"
        if trace.rule == "coverage"
        else f"what takes at least {trace.min_effect:g} of the attention weight when left out"
    )
    drawn = (
        "the weight lost without them, mean over the prompts" if context.by_effect else trace.count
    )
    return f"Traced by {trace.rule}: {kept}. Edges are ordered by {drawn}."


def _prompt_graph(ask: Ask, context: Context) -> Chart:
    """Of `MOST_PROMPTS`, the first of them chart.prompt_id, if it is set."""
    traced = ask("traced_prompts")
    chosen = context.chart.prompt_id
    ids = [] if chosen is None else [chosen]
    ids = [*ids, *(n for n in traced["prompt_id"].to_list() if n not in ids)][:MOST_PROMPTS]
    prompts = [(ask("prompt_graph", prompt_id=n), ask("prompt_tokens", prompt_id=n)) for n in ids]
    if chosen is not None and prompts[0][0].is_empty():
        prompts = []  # no other prompt stands in for the one that was chosen
    return prompt_graph(prompts, traced.height, by_effect=context.chart.edges != "coverage")


def _precision_recall(ask: Ask, context: Context) -> Chart:
    return precision_recall(
        ask("precision_recall"),
        count=context.trace.count,
        min_count=context.min_count,
        random=ask("random_band"),
    )


def _contribution_vs_effect(ask: Ask, context: Context) -> Chart:
    return contribution_vs_effect(ask("contribution_vs_effect"), coverage=context.trace.coverage)


def _firing_rates(ask: Ask, context: Context) -> Chart:
    """Of the traced firings between tokens with roles that are as frequent in some group."""
    share = context.min_share
    rates = {
        by: ask("firing_rates", by=by, traced=True).drop_nulls(["dest_role", "src_role"])
        for by in KINDS
    }
    chosen = (
        f"Traced firings between tokens with roles, in {share:.0%} or more of some row's prompts."
    )
    return firing_rates(rates, least=share, notes=[chosen, *_overlap(ask("circuit_overlap"))])


def _overlap(pairs: pl.DataFrame) -> list[str]:
    """How many edges two prompts share, in words."""
    means = dict(pairs.select("pairs", "mean").iter_rows())
    if "all" not in means:
        return []
    same = [
        f"{means[kind]:.0%} with the same {kind.removeprefix('same ')}"
        for kind in ("same template", "same pattern")
        if kind in means
    ]
    told = ", ".join([f"Two prompts share {means['all']:.0%} of their traced edges", *same])
    return [told.replace("same pattern", "same order") + " (mean Jaccard index)."]


def _prompt_families(ask: Ask, context: Context) -> Chart:
    return prompt_families(
        ask("prompt_families"), ask("family_members"), ask("family_heads", min_difference=0.0)
    )


TRACE_FIGURES = {
    "graph": FigureSpec(
        "The traced graph",
        "Read it upwards: a line carries a signal from a head into a token, where the head above "
        "reads it; thick lines carry much, faint ones occur in few prompts, and pointing at a line "
        "or a head tells its numbers.",
        _graph,
        needs=("graph_edges",),
    ),
    "graph_skeleton": FigureSpec(
        "The frequent skeleton",
        "The same graph from two thirds of the prompts on: what the model does nearly every time.",
        _graph_skeleton,
        needs=("graph_edges", "prompts"),
    ),
    "prompt_graph": FigureSpec(
        "One prompt",
        "Read it upwards: a disc is a head that attends from the token of its column, a line what "
        "one head writes for another, the thicker the more the head above attends because of it, "
        "and pointing at a disc or a line tells its numbers.",
        _prompt_graph,
        needs=("trace_pairs", "pairs"),
    ),
    "graph_top": FigureSpec(
        "The top layers",
        "The upper third of the traced layers alone: heads side by side with lines to the same "
        "head above are paths that can stand in for one another.",
        _graph_top,
        default=False,
        needs=("graph_edges",),
    ),
    "graph_all_slices": FigureSpec(
        "The graph without singular vectors",
        "The same trace with whole contributions instead of signals: heads and lines that are not "
        "in the traced graph come from what the signal slices leave out as noise.",
        _graph_all_slices,
        default=False,
        needs=(ALL_SLICES,),
    ),
    "precision_recall": FigureSpec(
        "Precision and recall",
        "The further to the right, the more often an edge must occur, and the fewer heads remain: "
        "precision is the share of them that the reference names, recall the share of the "
        "reference that is among them; a line above the grey band is better than chance.",
        _precision_recall,
        needs=("evaluation",),
    ),
    "contribution_vs_effect": FigureSpec(
        "Contributions against exact effects",
        "How complete the trace is: a full line that is high at the dashed rule means that few "
        "heads whose removal would change the attention are missed; a low dashed line means that "
        "much of what is kept changes it little when it alone is removed.",
        _contribution_vs_effect,
        needs=(EFFECTS,),
    ),
    "firing_rates": FigureSpec(
        "The heads, template by template",
        "Each square is a head of the trace in the prompts of one template or one order of the "
        "names: the fuller, the larger the share of them in which it attends between the two "
        "tokens named below.",
        _firing_rates,
        needs=("trace_pairs",),
    ),
    "prompt_families": FigureSpec(
        "Families of prompts",
        "Above, prompts whose traces share edges stand side by side, so that colours that change "
        "together belong together; below, the fuller a square, the more traces of a family have "
        "that head.",
        _prompt_families,
        needs=("families",),
    ),
}
