"""The slices of pairs: how much each singular vector pair adds to the attention score.

1. A row of panels for each head: at the left a pair on which it fires, at the right one on which it
   does not. Both share the scale of contributions.
2. Bars stand in the order of the singular values; those of the signal set, the shortest prefix in
   descending order of contribution that carries the score, are coloured. For a negative score the
   order is ascending: the set is then what carries it below 0.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import polars as pl

from svt.charts.style import GREY, ORANGE, Chart, head_name, message, number, plural, title
from svt.words import SIDES

IN_SIGNAL, NOISE = "signal set", "the rest"
HEADING = "Contributions of the slices"
BAR, WIDTH = 7, (330, 450)
"""Pixels for a slice, and for a panel, least and most."""


@dataclass(frozen=True)
class PairSlices:
    """A pair and its slices.

    pair: pair_id layer head prompt_id dest src weight score, and dest_token src_token text where
    known; slices: k contribution rank in_signal, one row a slice.
    """

    pair: Mapping[str, Any]
    slices: pl.DataFrame


def slice_contributions(
    pairs: Mapping[tuple[int, int], tuple[PairSlices | None, PairSlices | None]],
    *,
    notes: Sequence[str] = (),
) -> Chart:
    """One bar for each slice of each pair.

    pairs: of each (layer, head) one on which it fires and one on which it does not, None where the
    store has none; notes: lines below the title.
    """
    states = ("firing", "not firing")
    missing = [
        f"{head_name(*head)} {state}"
        for head, both in pairs.items()
        for state, pair in zip(states, both, strict=True)
        if pair is None
    ]
    lines = [*notes, f"The store holds no pair of {', '.join(missing)}." if missing else ""]
    rows = [
        alt.hconcat(
            *(
                _panel(pair, f"{head_name(*head)} {state}")
                for state, pair in zip(states, both, strict=True)
                if pair is not None
            ),
            spacing=30,
        ).resolve_scale(y="shared")  # 1
        for head, both in pairs.items()
        if any(both)
    ]
    if not rows:
        return message(HEADING, " ".join(filter(None, lines)))
    return alt.concat(*rows, columns=1, title=title(HEADING, *lines), spacing=28)


def _panel(shown: PairSlices, heading: str) -> alt.Chart:
    pair = shown.pair
    values = shown.slices.sort("k").select(
        "k",
        pl.col("contribution").round_sig_figs(5),
        pl.col("rank").cast(pl.Int64),
        set=pl.when("in_signal").then(pl.lit(IN_SIGNAL)).otherwise(pl.lit(NOISE)),
    )
    n_signal = values.filter(pl.col("set") == IN_SIGNAL).height
    width = min(max(WIDTH[0], BAR * values.height), WIDTH[1])
    return (
        alt.Chart(values)
        .mark_bar()
        .encode(
            alt.X("k:O", title="slice", axis=alt.Axis(labelAngle=0, values=_ticks(values.height))),
            alt.Y("contribution:Q", title="contribution (before scaling)"),
            color=alt.Color(
                "set:N",
                title=None,
                scale=alt.Scale(domain=[IN_SIGNAL, NOISE], range=[ORANGE, GREY]),
                legend=alt.Legend(orient="top"),
            ),
            tooltip=[
                alt.Tooltip("k:O", title="slice"),
                alt.Tooltip("contribution:Q", format=".4~g"),
                alt.Tooltip("rank:Q", title="rank"),
                alt.Tooltip("set:N", title="part"),
            ],
        )
        .properties(
            width=width,
            height=180,
            title=alt.TitleParams(
                heading,
                subtitle=[
                    f"{_ends(pair)}, weight {_weight(pair['weight'])}, "
                    f"score {number(pair['score'], '.2f')}",
                    f"{n_signal} of {plural(values.height, 'slice')} in the signal set",
                    *_excerpt(pair, width),
                ],
                fontSize=13,
                subtitleFontSize=11,
            ),
        )
    )


def _ticks(n_slices: int) -> list[int]:
    """The slices that are numbered on the axis."""
    return list(range(0, n_slices, 1 if n_slices <= 20 else 8))


def _ends(pair: Mapping[str, Any]) -> str:
    """Which token attends to which: `“to” (14) attends to “Mary” (2)`."""
    ends = [
        f"token {pair[end]}"
        if pair.get(f"{end}_token") is None
        else f"“{pair[f'{end}_token'].strip()}” ({pair[end]})"
        for end in SIDES
    ]
    return f"{ends[0]} attends to {ends[1]}"


def _weight(weight: float) -> str:
    return f"{weight:.2f}" if weight >= 0.005 else "below 0.01"


def _excerpt(pair: Mapping[str, Any], width: int) -> list[str]:
    """The prompt, as much of its end as fits."""
    said, fits = f"Prompt {pair['prompt_id']}", width // 6
    text = (pair.get("text") or "").replace("\n", " ")
    longest = fits - len(said) - 4
    return [f"{said}: {text if len(text) <= longest else '… ' + text[-longest:]}" if text else said]
