"""A card of a head: what it does on the task, what it does elsewhere, and who writes for it.

1. Its strongest firings, one a prompt, as text: the token that attends and the one attended to are
   marked. Of long prompts only what lies near the two is written. With a second store the same on
   its prompts: a head rarely does on all text what it does on one task.
2. How its attention weights are distributed, and how often each slice is in the signal of its
   firings; of more than `MOST_SLICES` those that are most often.
3. Who writes for its firings, on each side: the `MOST_WRITERS` of the largest mean contributions,
   as many of the largest mean effects and `MOST_SUPPRESSORS` without which it would attend more,
   whose effects are below 0.
4. What it writes for the answer stands below the name.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import polars as pl

from svt.charts.style import (
    CATEGORY,
    GREEN,
    SIDE_COLOURS,
    SIDE_NAMES,
    Chart,
    head_name,
    inline,
    message,
    number,
    plural,
    sentence,
    title,
)
from svt.words import SIDES

HEADING = "Cards of heads"
MOST_SLICES, MOST_WRITERS, MOST_SUPPRESSORS = 12, 5, 3
LETTER, LINE, WIDTH = 6.7, 19, 780
"""Pixels of a letter and of a line of text, and of a card."""
LETTERS, NEAR = int(WIDTH / LETTER) - 7, 5
"""Letters that a line holds after the weight; tokens around a marked one that are kept."""
OTHER = CATEGORY[3]
MONOSPACE = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"

Head = tuple[int, int]
Row = dict[str, Any]


@dataclass(frozen=True)
class Card:
    """Rows of the queries about a head.

    firings and weights, of `head_firings` and `head_weights`: by the name of the dataset, the
    run's own first; slices: of `slice_usage`; writers, of `upstream_of`: by side; answer: of
    `head_answer`; roles: of `head_roles`, those of the head.
    """

    firings: dict[str, pl.DataFrame]
    weights: dict[str, pl.DataFrame]
    slices: pl.DataFrame
    writers: dict[str, pl.DataFrame]
    answer: pl.DataFrame
    roles: pl.DataFrame


def head_card(cards: dict[Head, Card], notes: Sequence[str] = ()) -> Chart:
    """A card for each head, one below the other."""
    drawn = [
        _card(head, card)
        for head, card in cards.items()
        if any(frame.height for frame in card.weights.values())
    ]
    if not drawn:
        return message(HEADING, "No pair of these heads is stored.")
    return alt.vconcat(*drawn, spacing=40, title=title(HEADING, *notes)).resolve_scale(
        color="independent"
    )


def _card(head: Head, card: Card) -> Any:
    parts: list[Any] = [
        _texts(name, frame, legend=i == 0) for i, (name, frame) in enumerate(card.firings.items())
    ]
    middle = [_weights(card.weights)] + ([_slices(card.slices)] if card.slices.height else [])
    parts.append(alt.hconcat(*middle, spacing=40).resolve_scale(color="independent"))
    sides = [_writers(side, card.writers[side]) for side in SIDES if card.writers[side].height]
    if sides:
        parts.append(alt.hconcat(*sides, spacing=40))
    told = title(f"Head {head_name(*head)}", _does(card.roles), _answers(card.answer))
    return alt.vconcat(*parts, spacing=18, title=told).resolve_scale(color="independent")


def _part(text: str) -> alt.TitleParams:
    """The title of a part of a card."""
    return alt.TitleParams(text, fontSize=12, offset=6)


def _does(roles: pl.DataFrame) -> str:
    """Between which roles it attends in the trace, the most frequent first."""
    told = [
        f"{row['dest_role'] or 'other'} -> {row['src_role'] or 'other'}"
        + (f" ({row['pattern']})" if row["pattern"] else "")
        + f" in {row['share']:.0%} of the prompts"
        for row in roles.head(3).to_dicts()
    ]
    return f"In the trace it attends {', '.join(told)}." if told else "It is not in the trace."


def _answers(answer: pl.DataFrame) -> str:
    """Step 4."""
    for row in answer.to_dicts():
        low, high = number(row["low"], ".2f"), number(row["high"], ".2f")
        return (
            f"It writes {number(row['mean'], '+.2f')} for the answer, directly into the logit "
            f"difference ({low} to {high} over {plural(row['n_prompts'], 'prompt')}; place "
            f"{row['place']} of {row['n_heads']:,} heads)."
        )
    return ""


def _texts(name: str, firings: pl.DataFrame, legend: bool) -> Any:
    """Step 1."""
    heading = f"Strongest firings on {name}"
    if firings.is_empty():
        return sentence(heading, "It does not fire there.").properties(title=_part(heading))
    words = [word for i, row in enumerate(firings.to_dicts()) for word in _words(i, row)]
    across = alt.Scale(domain=[0, WIDTH / LETTER], nice=False)
    downward = alt.Scale(domain=[firings.height, 0], nice=False)
    base = alt.Chart(inline(words)).encode(
        alt.Y("y:Q", scale=downward, axis=None), alt.X("x:Q", scale=across, axis=None)
    )
    colour = alt.Color(
        "mark:N",
        title="token that",
        scale=alt.Scale(
            domain=["attends", "is attended to"],
            range=[SIDE_COLOURS["dest"], SIDE_COLOURS["src"]],
        ),
        legend=alt.Legend(symbolType="square", symbolOpacity=0.5, orient="right")
        if legend
        else None,
    )
    return alt.layer(
        base.transform_filter("datum.mark !== null")
        .mark_rect(opacity=0.35, cornerRadius=3)
        .encode(
            alt.Y("top:Q", scale=downward, axis=None),
            y2="bottom:Q",
            x2="end:Q",
            color=colour,
        ),
        base.mark_text(
            style="label", align="left", baseline="middle", font=MONOSPACE, fontSize=11
        ).encode(text="word:N", tooltip=[alt.Tooltip("told:N", title="firing")]),
    ).properties(width=WIDTH, height=LINE * firings.height, title=_part(heading))


def _words(line: int, row: Row) -> list[Row]:
    """The words of a firing with their places, in letters; `mark` says what a token does."""
    marks = {row["dest"]: "attends", row["src"]: "is attended to"}
    told = (
        f"prompt {row['prompt_id']}, from {row['dest']} to {row['src']}, score {row['score']:.2f}"
    )
    words: list[Row] = [{"word": f"{row['weight']:.2f}", "x": 0, "end": 4, "mark": None}]
    at = 6
    for word, pos in _kept(row["tokens"], marks):
        start = at + len(word) - len(word.lstrip())  # a renderer drops the spaces before a text
        at += len(word)
        words.append({"word": word.strip(), "x": start, "end": at, "mark": marks.get(pos)})
    place = {"y": line + 0.5, "top": line + 0.08, "bottom": line + 0.92, "told": told}
    return [word | place for word in words]


def _kept(tokens: Sequence[str], marked: dict[int, str]) -> list[tuple[str, int]]:
    """The tokens that a line has room for, with their positions; -1 for what is left out."""
    words = [(token.replace("\n", "⏎"), pos) for pos, token in enumerate(tokens)]
    if sum(len(word) for word, _ in words) <= LETTERS:
        return words
    near = {pos for at in marked for pos in range(at - NEAR, at + NEAR // 2 + 1)}
    kept: list[tuple[str, int]] = []
    for word, pos in words:
        if pos in near:
            kept.append((word, pos))
        elif not kept or kept[-1][1] >= 0:
            kept.append((" … ", -1))
    return kept


def _weights(weights: dict[str, pl.DataFrame]) -> alt.Chart:
    """Step 2."""
    rows = [{"dataset": name, **row} for name, frame in weights.items() for row in frame.to_dicts()]
    return (
        alt.Chart(inline(rows), title=_part("Attention weights"))
        .mark_line(interpolate="step-after", strokeWidth=2)
        .encode(
            alt.X("low:Q", title="attention weight").scale(domain=[0, 1]),
            alt.Y("share:Q", title="share of the stored pairs").axis(format="%", tickCount=4),
            color=alt.Color(
                "dataset:N",
                title="on",
                scale=alt.Scale(domain=list(weights), range=[GREEN, OTHER]),
                legend=alt.Legend(orient="bottom") if len(weights) > 1 else None,
            ),
            tooltip=[
                alt.Tooltip("dataset:N"),
                alt.Tooltip("low:Q", title="from"),
                alt.Tooltip("high:Q", title="to"),
                alt.Tooltip("n_pairs:Q", title="pairs"),
                alt.Tooltip("n_prompts:Q", title="prompts"),
            ],
        )
        .properties(width=330, height=130)
    )


def _slices(slices: pl.DataFrame) -> alt.Chart:
    frame = slices.sort("share", "k", descending=[True, False]).head(MOST_SLICES)
    return (
        alt.Chart(
            inline(frame.select("k", "share", "mean_contribution").to_dicts()),
            title=_part("Slices in the signal"),
        )
        .mark_bar(color=GREEN)
        .encode(
            alt.X("k:N", title="slice, the most frequent first", sort=frame["k"].to_list()).axis(
                labelAngle=0
            ),
            alt.Y("share:Q", title="share of the firings").axis(format="%", tickCount=4),
            tooltip=[
                alt.Tooltip("k:N", title="slice"),
                alt.Tooltip("share:Q", format=".0%"),
                alt.Tooltip("mean_contribution:Q", title="mean contribution", format=".3~f"),
            ],
        )
        .properties(width=330, height=130)
    )


def _writers(side: str, writers: pl.DataFrame) -> Any:
    """Step 3 for a side."""
    chosen = _chosen(writers)
    by_effect = chosen["effect"].null_count() == 0
    rows = chosen.with_columns(name=_writer_names(chosen)).to_dicts()
    names = [row["name"] for row in rows]
    base = alt.Chart(inline(rows)).mark_bar(color=SIDE_COLOURS[side])

    def panel(field: str, heading: str, labels: bool) -> alt.Chart:
        axis = alt.Axis(ticks=False, domain=False) if labels else None
        return base.encode(
            alt.Y("name:N", title=None, sort=names, axis=axis),
            alt.X(f"{field}:Q", title=heading).axis(tickCount=3),
            tooltip=[
                alt.Tooltip("name:N", title="writer"),
                alt.Tooltip("contribution:Q", title="mean contribution", format=".3~f"),
                alt.Tooltip("effect:Q", title="mean weight lost without it", format=".3f"),
                alt.Tooltip("n_significant:Q", title="firings in which it is significant"),
                alt.Tooltip("n_firings:Q", title="of firings"),
            ],
        ).properties(width=150, height=16 * len(names))

    panels = [panel("contribution", "mean contribution", True)]
    if by_effect:
        panels.append(panel("effect", "weight lost without it", False))
    told = _part(f"Who writes into the {SIDE_NAMES[side]}")
    return alt.hconcat(*panels, spacing=10, title=told)


def _chosen(writers: pl.DataFrame) -> pl.DataFrame:
    """The rows of step 3, by falling effect, or contribution where no effects are stored."""
    by_effect = writers.drop_nulls("effect").sort("effect", descending=True)
    parts = [
        writers.sort("contribution", descending=True).head(MOST_WRITERS),
        by_effect.head(MOST_WRITERS),
        by_effect.filter(pl.col("effect") < 0).tail(MOST_SUPPRESSORS),
    ]
    every = pl.concat(parts).unique(["component", "up_layer", "up_head"], maintain_order=True)
    return every.sort("effect", "contribution", descending=True, nulls_last=True)


def _writer_names(writers: pl.DataFrame) -> pl.Series:
    names = [
        head_name(row["up_layer"], row["up_head"])
        if row["component"] == "head"
        else " ".join(str(part) for part in (row["component"], row["up_layer"]) if part is not None)
        for row in writers.to_dicts()
    ]
    return pl.Series("name", names, dtype=pl.String)
