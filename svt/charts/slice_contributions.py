"""The contributions of the slices (singular vector pairs) of a head to an attention score.

1. Each head has a row of two panels: a pair on which it fires, and a pair on which it does not.
   Both have the same scale.
2. Bars are in the order of the singular values. Those of the signal set are coloured: the shortest
   prefix, in descending order of contribution, whose sum reaches the score. For a negative score
   the order is ascending.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import polars as pl

from svt.charts.firing_panels import draw_states
from svt.charts.style import GREY, ORANGE, Chart, number, panel_title, plural
from svt.words import SIDES

IN_SIGNAL, NOISE = "signal set", "the rest"
HEADING = "Contributions of the slices"
BAR, WIDTH = 7, (330, 450)
"""Pixels of a slice, and the smallest and largest width of a panel."""


@dataclass(frozen=True)
class PairSlices:
    """A pair and its slices.

    pair: pair_id layer head prompt_id dest src weight score, and dest_token src_token text where
    known; slices: k contribution rank in_signal, one row a slice.
    """

    pair: Mapping[str, Any]
    slices: pl.DataFrame


def slice_contributions(
    pairs: Mapping[tuple[int, int], Sequence[PairSlices | None]], *, notes: Sequence[str] = ()
) -> Chart:
    """Draw a bar for each slice of each pair.

    pairs: for each (layer, head) a pair on which it fires and one on which it does not, None where
    the store has none; notes: lines below the title.
    """
    return draw_states(pairs, _draw_panel, HEADING, notes, spacing=28, share_y=True)


def _draw_panel(shown: PairSlices, heading: str) -> alt.Chart:
    pair = shown.pair
    values = shown.slices.sort("k").select(
        "k",
        pl.col("contribution").round_sig_figs(5),
        pl.col("rank").cast(pl.Int64),
        set=pl.when("in_signal").then(pl.lit(IN_SIGNAL)).otherwise(pl.lit(NOISE)),
    )
    n_signal = values.filter(set=IN_SIGNAL).height
    labelled = list(range(0, values.height, 1 if values.height <= 20 else 8))
    weight = f"{pair['weight']:.2f}" if pair["weight"] >= 0.005 else "below 0.01"
    width = min(max(WIDTH[0], BAR * values.height), WIDTH[1])
    return (
        alt.Chart(values)
        .mark_bar()
        .encode(
            alt.X("k:O", title="slice", axis=alt.Axis(labelAngle=0, values=labelled)),
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
            title=panel_title(
                heading,
                [
                    f"{_describe_tokens(pair)}, weight {weight}, "
                    f"score {number(pair['score'], '.2f')}",
                    f"{n_signal} of {plural(values.height, 'slice')} in the signal set",
                    _excerpt_prompt(pair, width),
                ],
            ),
        )
    )


def _describe_tokens(pair: Mapping[str, Any]) -> str:
    """Say which token attends to which: `“to” (14) attends to “Mary” (2)`."""
    dest, src = (
        f"token {pair[side]}"
        if pair.get(f"{side}_token") is None
        else f"“{pair[f'{side}_token'].strip()}” ({pair[side]})"
        for side in SIDES
    )
    return f"{dest} attends to {src}"


def _excerpt_prompt(pair: Mapping[str, Any], width: int) -> str:
    """Return the number of the prompt and as much of the end of its text as fits."""
    name = f"Prompt {pair['prompt_id']}"
    text = (pair.get("text") or "").replace("\n", " ")
    longest = width // 6 - len(name) - 4
    return f"{name}: {text if len(text) <= longest else '… ' + text[-longest:]}" if text else name
