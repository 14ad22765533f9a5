"""The slices in a head's signal, prompt by prompt, for firing pairs and for others.

1. Each head has a row of two panels. A panel has a column for each prompt with such a pair, at most
   `MOST_PROMPTS`, evenly spaced, and a row for each slice, the largest singular value lowest. At
   most `NAMED_PROMPTS` columns have a label.
2. A run of neighbouring prompts that use a slice is one mark, and the runs of a slice are one row
   of data, which keeps a chart of 256 prompts and 64 slices small.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import altair as alt
import polars as pl

from svt.charts.firing_panels import draw_states
from svt.charts.style import ORANGE, Chart, inline, panel_title, pick_evenly, plural

HEADING = "Slices in the signal set, by prompt"
MOST_PROMPTS, NAMED_PROMPTS = 256, 8
WIDTH = 420


def slice_usage(
    usage: Mapping[tuple[int, int], Sequence[pl.DataFrame]], *, notes: Sequence[str] = ()
) -> Chart:
    """Draw the prompts from left to right and the slices upwards.

    usage: for each (layer, head) the rows of the query `slice_usage_by_prompt` for firing pairs and
    for others; notes: lines below the title.
    """
    most = max(frame["prompt_id"].n_unique() for states in usage.values() for frame in states)
    sampled = f"At most {MOST_PROMPTS} prompts a panel, evenly spaced."
    filled = {
        head: [None if frame.is_empty() else frame for frame in states]
        for head, states in usage.items()
    }
    lines = [*notes, sampled if most > MOST_PROMPTS else ""]
    return draw_states(filled, _draw_panel, HEADING, lines, spacing=24)


def _draw_panel(usage: pl.DataFrame, heading: str) -> alt.Chart:
    prompts = usage["prompt_id"].unique().sort().to_list()
    shown = [prompts[i] for i in pick_evenly(len(prompts), MOST_PROMPTS)]
    column = {prompt: x for x, prompt in enumerate(shown)}
    n_slices = int(usage["d_head"][0])
    return (
        alt.Chart(inline(_find_runs(usage, column)))
        .transform_flatten(["from", "to"])
        .mark_rect(color=ORANGE)
        .encode(
            alt.X(
                "from:Q",
                title="prompt_id",
                scale=alt.Scale(domain=[0, len(shown)], nice=False),
                axis=_label_prompts(shown),
            ),
            alt.X2("to:Q"),
            alt.Y(
                "k:O",
                title="slice",
                scale=alt.Scale(domain=list(range(n_slices)), reverse=True, padding=0.1),
                axis=alt.Axis(labelOverlap=True, ticks=False),
            ),
            tooltip=[
                alt.Tooltip("k:O", title="slice"),
                alt.Tooltip("prompts:Q", title=f"prompts, of {len(shown)}"),
            ],
        )
        .properties(
            width=WIDTH,
            height=min(max(4 * n_slices, 110), 260),
            title=panel_title(
                heading,
                f"{plural(len(prompts), 'prompt')}, "
                f"{usage.height / len(prompts):.1f} of {n_slices} slices on average",
            ),
        )
    )


def _label_prompts(shown: Sequence[int]) -> alt.Axis:
    """Return an x axis with the prompt ids of some columns, in the middle of each."""
    columns = range(0, len(shown), -(-len(shown) // NAMED_PROMPTS))
    named = {f"{x + 0.5}": shown[x] for x in columns}
    return alt.Axis(
        grid=False,
        values=[x + 0.5 for x in columns],
        labelExpr=f"({json.dumps(named)})[datum.value]",
    )


def _find_runs(usage: pl.DataFrame, column: Mapping[int, int]) -> list[dict[str, Any]]:
    """Return for each slice the first columns of its runs and the columns after them (step 2)."""
    rows = []
    for (k,), of_slice in sorted(usage.group_by("k")):
        used = sorted(column[p] for p in of_slice["prompt_id"].to_list() if p in column)
        starts = [x for previous, x in pairwise([-2, *used]) if x != previous + 1]
        ends = [x + 1 for x, following in pairwise([*used, -2]) if following != x + 1]
        if used:
            rows.append({"k": k, "prompts": len(used), "from": starts, "to": ends})
    return rows
