"""A card of a head: its firings on the task and on other texts, its slices, and its writers.

1. Its strongest firings, one for each prompt, are text in which the token that attends and the
   token attended to are marked. Long prompts are shortened to the tokens near these two. A second
   store adds firings on other texts, where a head may do something else than on the task.
2. Two panels show the distribution of its attention weights and how often each slice is in the
   signal of its firings, for the `MOST_SLICES` most frequent slices.
3. Each side has a panel of the writers into its firings: the `MOST_WRITERS` of the largest mean
   contributions, as many of the largest mean effects, and `MOST_SUPPRESSORS` with negative effects,
   without which it would attend more.
4. Its direct effect on the answer is in the subtitle.
"""

from collections.abc import Mapping, Sequence
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
    Row,
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
"""Pixels of a character, of a line of text, and of a card."""
LETTERS, NEAR = int(WIDTH / LETTER) - 7, 5
"""The most characters of a line after the weight; the tokens shown before a marked token."""
MARKS = ["attends", "is attended to"]
OTHER = CATEGORY[3]
MONOSPACE = "ui-monospace, 'DejaVu Sans Mono', Menlo, Consolas, monospace"


@dataclass(frozen=True)
class Card:
    """The rows of the queries about a head.

    firings, weights: of `head_firings` and `head_weights`, by the name of the dataset, the run's
    own first; slices: of `slice_usage`; writers: of `upstream_of`, by side; answer: of
    `head_answer`; roles: of `head_roles`.
    """

    firings: dict[str, pl.DataFrame]
    weights: dict[str, pl.DataFrame]
    slices: pl.DataFrame
    writers: dict[str, pl.DataFrame]
    answer: pl.DataFrame
    roles: pl.DataFrame


def head_card(cards: Mapping[tuple[int, int], Card], notes: Sequence[str] = ()) -> Chart:
    """Draw a card for each head, one below the other."""
    drawn = [
        _draw_card(head, card)
        for head, card in cards.items()
        if any(frame.height for frame in card.weights.values())
    ]
    if not drawn:
        return message(HEADING, "No pair of these heads is stored.")
    return alt.vconcat(*drawn, spacing=40, title=title(HEADING, *notes)).resolve_scale(
        color="independent"
    )


def _draw_card(head: tuple[int, int], card: Card) -> Any:
    texts = [_draw_texts(*item, legend=i == 0) for i, item in enumerate(card.firings.items())]
    panels = [_draw_weights(card.weights)]
    panels += [_draw_slices(card.slices)] if card.slices.height else []
    parts = [*texts, alt.hconcat(*panels, spacing=40).resolve_scale(color="independent")]
    sides = [_draw_writers(side, card.writers[side]) for side in SIDES if card.writers[side].height]
    if sides:
        parts.append(alt.hconcat(*sides, spacing=40))
    lines = _describe_roles(card.roles), _describe_answer(card.answer)
    heading = title(f"Head {head_name(*head)}", *lines)
    return alt.vconcat(*parts, spacing=18, title=heading).resolve_scale(color="independent")


def _part_title(text: str) -> alt.TitleParams:
    """Return the title of a part of a card."""
    return alt.TitleParams(text, fontSize=12, offset=6)


def _describe_roles(roles: pl.DataFrame) -> str:
    """Say between which roles the head attends in the trace, the most frequent first."""
    texts = [
        f"{row['dest_role'] or 'other'} -> {row['src_role'] or 'other'}"
        + (f" ({row['pattern']})" if row["pattern"] else "")
        + f" in {row['share']:.0%} of the prompts"
        for row in roles.head(3).to_dicts()
    ]
    return f"In the trace it attends {', '.join(texts)}." if texts else "It is not in the trace."


def _describe_answer(answer: pl.DataFrame) -> str:
    """State the direct effect of the head on the answer (step 4)."""
    for row in answer.to_dicts():
        low, high = number(row["low"], ".2f"), number(row["high"], ".2f")
        return (
            f"Its direct effect on the logit difference is {number(row['mean'], '+.2f')} "
            f"({low} to {high} over {plural(row['n_prompts'], 'prompt')}; place "
            f"{row['place']} of {row['n_heads']:,} heads)."
        )
    return ""


def _draw_texts(name: str, firings: pl.DataFrame, legend: bool) -> Any:
    """Draw the firings on a dataset (step 1)."""
    heading = f"Strongest firings on {name}"
    if firings.is_empty():
        return sentence(heading, "It does not fire there.").properties(title=_part_title(heading))
    words = [word for i, row in enumerate(firings.to_dicts()) for word in _place_words(i, row)]
    across = alt.Scale(domain=[0, WIDTH / LETTER], nice=False)
    downward = alt.Scale(domain=[firings.height, 0], nice=False)
    base = alt.Chart(inline(words)).encode(
        alt.Y("y:Q", scale=downward, axis=None), alt.X("x:Q", scale=across, axis=None)
    )
    colours = alt.Scale(domain=MARKS, range=list(SIDE_COLOURS.values()))
    squares = alt.Legend(symbolType="square", symbolOpacity=0.5, orient="right")
    return alt.layer(
        base.transform_filter("datum.mark !== null")
        .mark_rect(opacity=0.35, cornerRadius=3)
        .encode(
            alt.Y("top:Q", scale=downward, axis=None),
            alt.Color(
                "mark:N", title="token that", scale=colours, legend=squares if legend else None
            ),
            y2="bottom:Q",
            x2="end:Q",
        ),
        base.mark_text(
            style="label", align="left", baseline="middle", font=MONOSPACE, fontSize=11
        ).encode(text="word:N", tooltip=[alt.Tooltip("firing:N")]),
    ).properties(width=WIDTH, height=LINE * firings.height, title=_part_title(heading))


def _place_words(line: int, row: Row) -> list[Row]:
    """Return the words of a firing with their places in characters, and marks of the two tokens."""
    dest, src = row["dest"], row["src"]
    marks = dict(zip((dest, src), MARKS, strict=True))
    firing = f"prompt {row['prompt_id']}, from {dest} to {src}, score {row['score']:.2f}"
    words: list[Row] = [{"word": f"{row['weight']:.2f}", "x": 0, "end": 4, "mark": None}]
    at = 6
    for word, pos in _shorten(row["tokens"], marks):
        start = at + len(word) - len(word.lstrip())  # a renderer drops leading spaces
        at += len(word)
        words.append({"word": word.strip(), "x": start, "end": at, "mark": marks.get(pos)})
    place = {"y": line + 0.5, "top": line + 0.08, "bottom": line + 0.92, "firing": firing}
    return [word | place for word in words]


def _shorten(tokens: Sequence[str], marked: dict[int, str]) -> list[tuple[str, int]]:
    """Return the tokens that fit into a line, with their positions; -1 for a gap."""
    words = [(token.replace("\n", "⏎"), pos) for pos, token in enumerate(tokens)]
    if sum(len(word) for word, _ in words) <= LETTERS:
        return words
    near = {pos for at in marked for pos in range(at - NEAR, at + NEAR // 2 + 1)}
    shown: list[tuple[str, int]] = []
    for word, pos in words:
        if pos in near:
            shown.append((word, pos))
        elif not shown or shown[-1][1] >= 0:
            shown.append((" … ", -1))
    return shown


def _draw_weights(weights: dict[str, pl.DataFrame]) -> alt.Chart:
    """Draw the distribution of attention weights on each dataset (step 2)."""
    rows = [{"dataset": name, **row} for name, frame in weights.items() for row in frame.to_dicts()]
    return (
        alt.Chart(inline(rows), title=_part_title("Attention weights"))
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


def _draw_slices(slices: pl.DataFrame) -> alt.Chart:
    """Draw how often slices are in the signal (step 2)."""
    frame = slices.sort("share", "k", descending=[True, False]).head(MOST_SLICES)
    return (
        alt.Chart(
            inline(frame.select("k", "share", "mean_contribution").to_dicts()),
            title=_part_title("Slices in the signal"),
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


def _draw_writers(side: str, writers: pl.DataFrame) -> Any:
    """Draw the writers of step 3 for a side."""
    selected = _select_writers(writers)
    rows = [row | {"name": _name_writer(row)} for row in selected.to_dicts()]
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
    if selected["effect"].null_count() == 0:
        panels.append(panel("effect", "weight lost without it", False))
    heading = _part_title(f"Writers into the {SIDE_NAMES[side]}")
    return alt.hconcat(*panels, spacing=10, title=heading)


def _select_writers(writers: pl.DataFrame) -> pl.DataFrame:
    """Return the rows of step 3 by descending effect, or contribution if no effects are stored."""
    by_effect = writers.drop_nulls("effect").sort("effect", descending=True)
    parts = [
        writers.sort("contribution", descending=True).head(MOST_WRITERS),
        by_effect.head(MOST_WRITERS),
        by_effect.filter(pl.col("effect") < 0).tail(MOST_SUPPRESSORS),
    ]
    writers = pl.concat(parts).unique(["component", "up_layer", "up_head"], maintain_order=True)
    return writers.sort("effect", "contribution", descending=True, nulls_last=True)


def _name_writer(row: Row) -> str:
    if row["component"] == "head":
        return head_name(row["up_layer"], row["up_head"])
    return " ".join(str(row[key]) for key in ("component", "up_layer") if row[key] is not None)
