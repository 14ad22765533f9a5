"""The figures by name: what each asks of the tables and how it is read."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from svt.charts.figure import Ask, Context, Figure, Recorder
from svt.charts.graph import graph
from svt.charts.precision_recall import precision_recall
from svt.charts.slice_contributions import slice_contributions
from svt.charts.style import Chart, message
from svt.charts.upstream_heatmap import upstream_heatmap
from svt.errors import SvtError


@dataclass(frozen=True)
class FigureSpec:
    """A kind of figure: its words, and the function that asks for its frames and draws them."""

    title: str
    reading: str
    draw: Callable[[Ask, Context], Chart]


def draw(name: str, ask: Ask, context: Context) -> Figure:
    """The figure `name` of a run; SvtError if there is none of that name."""
    (known,) = known_figures((name,))
    spec = FIGURES[known]
    recorder = Recorder(ask)
    chart = spec.draw(recorder, context)
    return Figure(name, spec.title, spec.reading, chart, tuple(recorder.asked))


def known_figures(chosen: str | Sequence[str]) -> tuple[str, ...]:
    """`chart.figures` as names: `default`, or names, each of which must be known."""
    names = DEFAULT_FIGURES if chosen == "default" else tuple(chosen)
    for name in names:
        if name not in FIGURES:
            raise SvtError(f"chart.figures: no figure {name!r}; known: {', '.join(FIGURES)}")
    return names


def _graph(ask: Ask, context: Context) -> Chart:
    trace = context.trace
    return graph(
        ask("graph_edges", min_count=0),
        ask("graph_nodes", min_count=0),
        ask("firings"),
        root_dest=trace.root_dest,
        count=trace.count,
        min_count=context.min_count,
    )


def _precision_recall(ask: Ask, context: Context) -> Chart:
    return precision_recall(
        ask("precision_recall"),
        count=context.trace.count,
        min_count=context.min_count,
        random=ask("random_baseline"),
    )


def _upstream_heatmap(ask: Ask, context: Context) -> Chart:
    layer, head = context.roots[0]
    frame = ask("upstream_heatmap", layer=layer, head=head, side="dest", **_ends(context))
    return upstream_heatmap(frame, layer=layer, head=head, side="dest")


def _slice_contributions(ask: Ask, context: Context) -> Chart:
    layer, head = context.roots[0]
    firing = ask("example_firing", layer=layer, head=head, **_ends(context)).to_dicts()
    if not firing:
        return message("Slices of one firing", f"{layer}.{head} never fires in this store.")
    slices = ask("firing_slices", pair_id=firing[0]["pair_id"])
    return slice_contributions(slices, firing=firing[0])


def _ends(context: Context) -> dict[str, str]:
    """The roles between which a root's firings start the trace."""
    return {"dest_role": context.trace.root_dest, "src_role": context.trace.root_src}


FIGURES = {
    "graph": FigureSpec(
        "The traced graph",
        "Read it upwards: a line carries a signal from a head into a token, where the head above "
        "reads it; thick lines carry much, faint ones occur in few prompts.",
        _graph,
    ),
    "precision_recall": FigureSpec(
        "Precision and recall",
        "The further to the right, the more often an edge must occur, and the fewer heads remain: "
        "precision is the share of them that the reference names, recall the share of the "
        "reference that is among them.",
        _precision_recall,
    ),
    "upstream_heatmap": FigureSpec(
        "What reaches the first root",
        "Each square is an upstream head, coloured by what it adds to the root's attention score "
        "on average: at the left through the signal slices, at the right through all slices.",
        _upstream_heatmap,
    ),
    "slice_contributions": FigureSpec(
        "The slices of one firing",
        "Each bar is one singular vector pair of the head; the coloured ones carry the attention "
        "score, the others together add nothing to it.",
        _slice_contributions,
    ),
}
DEFAULT_FIGURES = ("graph", "precision_recall", "upstream_heatmap", "slice_contributions")
