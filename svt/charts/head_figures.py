"""Figures of single heads: slices, signals, upstream contributions, and cards.

1. The heads are those of chart.heads, or the first `MOST_HEADS` roots.
2. The firings of roots are those that start their traces; of other heads, all. chart.dest_role and
   chart.src_role restrict the roles instead, also those of pairs that do not fire.
3. Each figure runs its query for every head and draws a panel or a row of panels for it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from svt.charts.figure import Context, FigureSpec, Recorder, RunQuery
from svt.charts.head_card import Card, head_card
from svt.charts.signal_by_token import signal_by_token
from svt.charts.slice_contributions import PairSlices, slice_contributions
from svt.charts.slice_counts import slice_counts
from svt.charts.slice_usage import slice_usage
from svt.charts.style import Chart, head_names
from svt.charts.upstream_heatmap import upstream_heatmap
from svt.config import Head
from svt.words import SIDES

MOST_HEADS = 4
OWN = "the run's prompts"


@dataclass(frozen=True)
class Selection:
    """The heads of a figure, the query parameters for the roles of their firings, and notes."""

    heads: Sequence[Head]
    roles: dict[str, str]
    notes: Sequence[str]


def select_heads(
    context: Context, heads: Sequence[Head] | None = None, every_firing: bool = False
) -> Selection:
    """Select the heads and the roles of their firings (steps 1 and 2).

    heads: in place of the roots; every_firing: all firings of roots, too.
    """
    chart, trace = context.chart, context.trace
    named = chart.heads is not None
    if heads is None:
        heads = chart.heads if chart.heads is not None else context.roots
    shown = heads if named else heads[:MOST_HEADS]
    roots = not named and not every_firing and set(heads) <= set(context.roots)
    own = (trace.root_dest, trace.root_src) if roots else ("any", "any")
    dest, src = chart.dest_role or own[0], chart.src_role or own[1]
    left_out = head_names(heads[len(shown) :])
    roles = _describe_roles(dest, src)
    return Selection(
        shown,
        {"dest_role": dest, "src_role": src},
        [
            f"Firings{roles}." if roles else "",
            f"Not shown unless set in chart.heads: {left_out}." if left_out else "",
        ],
    )


def _draw_slice_contributions(ask: RunQuery, context: Context) -> Chart:
    selection = select_heads(context)
    prompt = _drop_none(prompt_id=context.chart.prompt_id)
    pairs = {}
    for layer, head in selection.heads:
        params: dict[str, Any] = {"layer": layer, "head": head} | prompt
        firing = _query_pair(ask, "example_firing", **params, **selection.roles)
        params |= _drop_none(beside=firing and firing.pair["pair_id"]) | _set_roles(context)
        pairs[layer, head] = (firing, _query_pair(ask, "example_not_firing", **params))
    return slice_contributions(pairs, notes=[*selection.notes, _prompt_note(context)])


def _query_pair(ask: RunQuery, query: str, **params: Any) -> PairSlices | None:
    """Return the pair that the query selects, with its slices; None if there is none."""
    for pair in ask(query, **params).to_dicts():
        return PairSlices(pair, ask("firing_slices", pair_id=pair["pair_id"]))
    return None


def _draw_slice_usage(ask: RunQuery, context: Context) -> Chart:
    selection = select_heads(context)
    usage = {
        (layer, head): tuple(
            ask("slice_usage_by_prompt", layer=layer, head=head, firing=firing, **roles)
            for firing, roles in ((True, selection.roles), (False, _set_roles(context)))
        )
        for layer, head in selection.heads
    }
    return slice_usage(usage, notes=selection.notes)


def _draw_slice_counts(ask: Recorder, context: Context) -> Chart:
    """Draw the counts of all heads and roles, or of those that the configuration sets."""
    chart = context.chart
    params = _drop_none(heads=chart.heads, **_set_roles(context))
    params["firing_weight"] = context.trace.firing_weight
    heads = head_names(chart.heads or ()) or "all heads"
    roles = _describe_roles(chart.dest_role, chart.src_role)
    return slice_counts(
        [each("slice_counts", **params) for each in _list_asks(ask, context).values()],
        notes=[f"Firings of {heads}{roles}."],
    )


def _draw_signal_by_token(ask: RunQuery, context: Context) -> Chart:
    """Draw heads whose coordinates are stored: roots, or others where no root has coordinates.

    The consensus is that of all firings of a head.
    """
    stored = ask("coordinate_heads").rows()
    wanted = context.chart.heads or context.roots
    heads = [head for head in wanted if head in stored]
    if not heads and context.chart.heads is None:
        heads = stored
    selection = select_heads(context, heads, every_firing=True)
    params: dict[str, Any] = {"min_firings": context.chart.min_firings} | selection.roles
    return signal_by_token(
        {
            (layer, head): ask("signal_by_token", layer=layer, head=head, **params)
            for layer, head in selection.heads
        },
        min_firings=context.chart.min_firings,
        missing=[head for head in wanted if head not in stored],
        notes=selection.notes,
    )


def _draw_upstream_heatmap(ask: RunQuery, context: Context) -> Chart:
    selection = select_heads(context)
    params = selection.roles | _drop_none(prompt_id=context.chart.prompt_id)
    upstream = {
        (layer, head): ask("upstream_heatmap", layer=layer, head=head, **params)
        for layer, head in selection.heads
    }
    return upstream_heatmap(upstream, notes=[*selection.notes, _prompt_note(context)])


def _draw_head_card(ask: Recorder, context: Context) -> Chart:
    """Draw cards from the run's store and, if it is set, from chart.compare_store."""
    selection, asks = select_heads(context), _list_asks(ask, context)
    roles = ask("head_roles", min_share=0.1)
    fires = context.trace.firing_weight
    cards = {}
    for layer, head in selection.heads:
        at: dict[str, Any] = {"layer": layer, "head": head}
        cards[layer, head] = Card(
            firings={
                name: each("head_firings", firing_weight=fires, **at) for name, each in asks.items()
            },
            weights={name: each("head_weights", **at) for name, each in asks.items()},
            slices=ask("slice_usage", **at),
            writers={side: ask("upstream_of", side=side, **at) for side in SIDES},
            answer=ask("head_answer", **at),
            roles=roles.filter(layer=layer, head=head),
        )
    one_store = "On one dataset only; chart.compare_store adds a store of other texts."
    notes = [*selection.notes[1:], one_store if context.compare is None else ""]
    return head_card(cards, notes=notes)


def _list_asks(ask: Recorder, context: Context) -> dict[str, RunQuery]:
    """Return what asks the run's store and, if it is set, chart.compare_store, by dataset."""
    other = context.chart.compare_store
    if context.compare is None or other is None:
        return {OWN: ask}
    return {OWN: ask, Path(other).stem: ask.for_target(context.compare, other)}


def _describe_roles(dest_role: str | None, src_role: str | None) -> str:
    """Return ` from end onto IO`, without the roles that are any."""
    return "".join(
        f" {word} {role}"
        for word, role in (("from", dest_role), ("onto", src_role))
        if role not in (None, "any")
    )


def _set_roles(context: Context) -> dict[str, Any]:
    """Return the roles that the configuration sets, as parameters of a query."""
    return _drop_none(dest_role=context.chart.dest_role, src_role=context.chart.src_role)


def _prompt_note(context: Context) -> str:
    prompt = context.chart.prompt_id
    return "" if prompt is None else f"In prompt {prompt} alone."


def _drop_none(**params: Any) -> dict[str, Any]:
    """Return the parameters that are not None; the query has defaults for the others."""
    return {name: value for name, value in params.items() if value is not None}


HEAD_FIGURES = {
    "slice_contributions": FigureSpec(
        "The slices of a firing",
        "Each bar is one singular vector pair of the head; the coloured ones carry the attention "
        "score and the sum of the others does not raise it: where the head fires and, if the store "
        "holds such pairs, where it does not.",
        _draw_slice_contributions,
        needs=("pairs",),
    ),
    "slice_usage": FigureSpec(
        "The slices that carry the signal, by prompt",
        "A mark means that the slice of its row carries the score in the prompt of its column: "
        "unbroken rows are slices that a head uses in every prompt.",
        _draw_slice_usage,
        needs=("pairs",),
    ),
    "slice_counts": FigureSpec(
        "How many slices a signal needs",
        "Each bar is the share of all firings whose score is carried by that many slices; the "
        "dashed line marks the median.",
        _draw_slice_counts,
        needs=("pairs",),
    ),
    "signal_by_token": FigureSpec(
        "The signal in each token",
        "The further to the right, the larger the part of a token that matches the signal which "
        "the head reads from its source; names are separate where the head reads names.",
        _draw_signal_by_token,
        needs=("coordinates",),
    ),
    "upstream_heatmap": FigureSpec(
        "What reaches a head",
        "Each square is an upstream head, coloured by its mean contribution to the attention score "
        "of the head named above, through the signal slices or, where they are stored, through all "
        "slices.",
        _draw_upstream_heatmap,
        needs=("pairs",),
    ),
    "head_card": FigureSpec(
        "Cards of heads",
        "Read a card from the top: where the head attends most, marked in the text, on the task "
        "and on other texts; how strongly and through which slices; and which heads write for it, "
        "with bars to the left for those without which it would attend more.",
        _draw_head_card,
        default=False,
        needs=("pairs",),
    ),
}
