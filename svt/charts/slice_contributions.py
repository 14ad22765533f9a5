"""The slices of one firing: how much each singular vector pair adds to the attention score.

Bars stand in the order of the singular values; those of the signal set, the shortest prefix in
descending order of contribution that carries the score, are coloured.
"""

from collections.abc import Mapping
from typing import Any

import altair as alt
import polars as pl

from svt.charts.style import GREY, ORANGE, Chart, head_name, message, plural, title

IN_SIGNAL, NOISE = "signal set", "the rest, which sums to at most 0"


def slice_contributions(slices: pl.DataFrame, *, firing: Mapping[str, Any]) -> Chart:
    """One bar for each slice.

    slices: k contribution rank in_signal;
    firing: layer head prompt_id dest src weight score, and dest_token src_token text where known.
    """
    name = head_name(firing["layer"], firing["head"])
    heading = f"Slices of one firing of {name}"
    if slices.is_empty():
        return message(heading, f"The store holds no firing of {name}.")
    values = slices.sort("k").select(
        "k",
        "contribution",
        pl.col("rank").cast(pl.Int64),
        set=pl.when("in_signal").then(pl.lit(IN_SIGNAL)).otherwise(pl.lit(NOISE)),
    )
    n_signal = values.filter(pl.col("set") == IN_SIGNAL).height
    chart: alt.Chart = (
        alt.Chart(values)
        .mark_bar()
        .encode(
            alt.X("k:O", title="slice", axis=alt.Axis(labelAngle=0, labelOverlap=True)),
            alt.Y("contribution:Q", title="contribution to the score (before scaling)"),
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
            width=max(360, 11 * values.height),
            height=260,
            title=title(
                heading,
                f"{_pair(firing)}, weight {firing['weight']:.2f}, score {firing['score']:.2f}: "
                f"{n_signal} of {plural(values.height, 'slice')} in the signal set.",
                _excerpt(firing.get("text")),
            ),
        )
    )
    return chart


def _pair(firing: Mapping[str, Any]) -> str:
    """Which token attends to which: `Prompt 3: “to” (14) attends to “Mary” (2)`."""
    ends = [
        f"token {firing[end]}"
        if firing.get(f"{end}_token") is None
        else f"“{firing[f'{end}_token'].strip()}” ({firing[end]})"
        for end in ("dest", "src")
    ]
    return f"Prompt {firing['prompt_id']}: {ends[0]} attends to {ends[1]}"


def _excerpt(text: str | None, longest: int = 110) -> str:
    """The prompt's end, where the firing usually is."""
    if not text:
        return ""
    return text if len(text) <= longest else "… " + text[-longest:]
