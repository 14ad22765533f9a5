"""Figures of single heads: their slices, their signals, and what reaches them.

1. The heads are those of chart.heads; without it the roots, at most `MOST_HEADS` of them.
2. Roots show the firings that start their traces, named heads all of theirs, unless chart.dest_role
   and chart.src_role say otherwise. Pairs that do not fire are of any role but for those two.
3. Each figure asks its own query, head by head, and draws a panel or a row of panels for each.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from svt.charts.figure import Ask, Context, FigureSpec, Recorder
from svt.charts.head_card import Card, head_card
from svt.charts.signal_by_token import signal_by_token
from svt.charts.slice_contributions import PairSlices, slice_contributions
from svt.charts.slice_counts import slice_counts
from svt.charts.slice_usage import slice_usage
from svt.charts.style import Chart, head_name
from svt.charts.upstream_heatmap import upstream_heatmap
from svt.words import SIDES

Head = tuple[int, int]

MOST_HEADS = 4
OWN = "the run's prompts"


@dataclass(frozen=True)
class Choice:
    """The heads of a figure, the roles of their firings, and what to say of both."""

    heads: Sequence[Head]
    ends: dict[str, str]
    notes: Sequence[str]


def choice(
    context: Context, heads: Sequence[Head] | None = None, every_firing: bool = False
) -> Choice:
    """Steps 1 and 2; `heads` goes before the roots where those cannot be shown.

    With `every_firing` roots, too, show all of theirs.
    """
    chart, trace = context.chart, context.trace
    named = chart.heads is not None
    if heads is None:
        heads = chart.heads if chart.heads is not None else context.roots
    shown = heads if named else heads[:MOST_HEADS]
    roots = not named and not every_firing and set(heads) <= set(context.roots)
    own = (trace.root_dest, trace.root_src) if roots else ("any", "any")
    dest, src = chart.dest_role or own[0], chart.src_role or own[1]
    left_out = ", ".join(head_name(*head) for head in heads[len(shown) :])
    where = _where(dest, src)
    return Choice(
        shown,
        {"dest_role": dest, "src_role": src},
        [
            f"Firings{where}." if where else "",
            f"Left out, until chart.heads names them: {left_out}." if left_out else "",
        ],
    )


def _slice_contributions(ask: Ask, context: Context) -> Chart:
    chosen = choice(context)
    prompt = _given(prompt_id=context.chart.prompt_id)
    pairs = {}
    for layer, head in chosen.heads:
        at: dict[str, Any] = {"layer": layer, "head": head} | prompt
        firing = _pair(ask, "example_firing", **at, **chosen.ends)
        beside = _given(beside=firing and firing.pair["pair_id"])
        pairs[layer, head] = (
            firing,
            _pair(ask, "example_not_firing", **at, **beside, **_named_roles(context)),
        )
    return slice_contributions(pairs, notes=[*chosen.notes, _prompt_note(context)])


def _pair(ask: Ask, query: str, **params: Any) -> PairSlices | None:
    """The pair that the query chooses, with its slices."""
    for pair in ask(query, **params).to_dicts():
        return PairSlices(pair, ask("firing_slices", pair_id=pair["pair_id"]))
    return None


def _slice_usage(ask: Ask, context: Context) -> Chart:
    chosen = choice(context)
    usage = {
        (layer, head): (
            ask("slice_usage_by_prompt", layer=layer, head=head, firing=True, **chosen.ends),
            ask(
                "slice_usage_by_prompt",
                layer=layer,
                head=head,
                firing=False,
                **_named_roles(context),
            ),
        )
        for layer, head in chosen.heads
    }
    return slice_usage(usage, notes=chosen.notes)


def _slice_counts(ask: Recorder, context: Context) -> Chart:
    """All heads and roles, unless some are named: the figure is about the model."""
    chart = context.chart
    params = _given(heads=chart.heads, **_named_roles(context))
    params["firing_weight"] = context.trace.firing_weight
    asks: list[Ask] = [ask]
    if context.compare is not None and chart.compare_store is not None:
        asks.append(ask.elsewhere(context.compare, chart.compare_store))
    of = ", ".join(head_name(*head) for head in chart.heads or ()) or "all heads"
    where = _where(chart.dest_role, chart.src_role)
    return slice_counts(
        [each("slice_counts", **params) for each in asks], notes=[f"Firings of {of}{where}."]
    )


def _signal_by_token(ask: Ask, context: Context) -> Chart:
    """Of heads whose coordinates are stored: the roots, or any if they are of no root.

    The consensus is of all firings of a head.
    """
    stored = ask("coordinate_heads").rows()
    wanted = context.chart.heads or context.roots
    heads = [head for head in wanted if head in stored]
    if not heads and context.chart.heads is None:
        heads = stored
    chosen = choice(context, heads, every_firing=True)
    min_firings = context.chart.min_firings
    sizes = {
        (layer, head): ask(
            "signal_by_token",
            layer=layer,
            head=head,
            min_firings=min_firings,
            **chosen.ends,
        )
        for layer, head in chosen.heads
    }
    return signal_by_token(
        sizes,
        min_firings=min_firings,
        lacking=[head for head in wanted if head not in stored],
        notes=chosen.notes,
    )


def _upstream_heatmap(ask: Ask, context: Context) -> Chart:
    chosen = choice(context)
    prompt = _given(prompt_id=context.chart.prompt_id)
    upstream = {
        (layer, head): ask("upstream_heatmap", layer=layer, head=head, **chosen.ends, **prompt)
        for layer, head in chosen.heads
    }
    return upstream_heatmap(upstream, notes=[*chosen.notes, _prompt_note(context)])


def _head_card(ask: Recorder, context: Context) -> Chart:
    """Of the run's store and, where there is one, of chart.compare_store."""
    chosen = choice(context)
    other = context.chart.compare_store
    asks: dict[str, Ask] = {OWN: ask}
    if context.compare is not None and other is not None:
        asks[Path(other).stem] = ask.elsewhere(context.compare, other)
    roles = ask("head_roles", min_share=0.1)
    fires = context.trace.firing_weight
    cards = {}
    for layer, head in chosen.heads:
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
    return head_card(cards, notes=[*chosen.notes[1:], _beside(context)])


def _beside(context: Context) -> str:
    if context.compare is not None:
        return ""
    return "On one dataset alone, until chart.compare_store names a store of other texts."


def _where(dest_role: str | None, src_role: str | None) -> str:
    """` from end onto IO`, or what of it is not any."""
    return "".join(
        f" {word} {role}"
        for word, role in (("from", dest_role), ("onto", src_role))
        if role not in (None, "any")
    )


def _named_roles(context: Context) -> dict[str, Any]:
    return _given(dest_role=context.chart.dest_role, src_role=context.chart.src_role)


def _prompt_note(context: Context) -> str:
    prompt = context.chart.prompt_id
    return "" if prompt is None else f"In prompt {prompt} alone."


def _given(**params: Any) -> dict[str, Any]:
    """Those that are not None: the others keep the query's defaults."""
    return {name: value for name, value in params.items() if value is not None}


HEAD_FIGURES = {
    "slice_contributions": FigureSpec(
        "The slices of a firing",
        "Each bar is one singular vector pair of the head; the coloured ones carry the attention "
        "score, the others together only weaken it: at the left where the head fires, at the right "
        "where it does not.",
        _slice_contributions,
        needs=("pairs",),
    ),
    "slice_usage": FigureSpec(
        "The slices that carry the signal, by prompt",
        "A mark says that the slice of that row carries the score of the prompt of that column: "
        "unbroken rows are slices that a head uses in every prompt.",
        _slice_usage,
        needs=("pairs",),
    ),
    "slice_counts": FigureSpec(
        "How many slices a signal needs",
        "Each bar is the share of all firings whose score is carried by that many slices; the "
        "dashed line marks the median.",
        _slice_counts,
        needs=("pairs",),
    ),
    "signal_by_token": FigureSpec(
        "The signal in each token",
        "The further to the right, the more of the signal that the head looks for in its source "
        "lies in a token; names stand apart where the head looks for names.",
        _signal_by_token,
        needs=("coordinates",),
    ),
    "upstream_heatmap": FigureSpec(
        "What reaches a head",
        "Each square is an upstream head, coloured by what it adds on average to the attention "
        "score of the head named above, through the signal slices or, where they are stored, "
        "through all slices.",
        _upstream_heatmap,
        needs=("pairs",),
    ),
    "head_card": FigureSpec(
        "Cards of heads",
        "Read a card from the top: where the head attends most, marked in the text, on the task "
        "and on other texts; how strongly and through which slices; and who writes for it, bars to "
        "the left being writers without which it would attend more.",
        _head_card,
        default=False,
        needs=("pairs",),
    ),
}
