"""Which slices are in a head's signal, prompt by prompt, when it fires and when it does not.

1. A row of panels for each head; each panel has a column for every prompt with such a pair, at most
   `MOST_PROMPTS`, evenly chosen, and a row for every slice, the first singular value lowest. Below
   stand the ids of at most `NAMED_PROMPTS` of the prompts.
2. Neighbouring prompts that use a slice are one mark, and the runs of a slice are one row of data:
   256 prompts by 64 slices stay light.
"""

import json
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import altair as alt
import polars as pl

from svt.charts.style import ORANGE, Chart, head_name, inline, message, plural, title

HEADING = "Slices in the signal set, by prompt"
STATES = ("firing", "not firing")
MOST_PROMPTS, NAMED_PROMPTS = 256, 8
WIDTH = 420


def slice_usage(
    usage: Mapping[tuple[int, int], tuple[pl.DataFrame, pl.DataFrame]],
    *,
    notes: Sequence[str] = (),
) -> Chart:
    """Prompts across, slices up.

    usage: of each (layer, head) the rows of the query `slice_usage_by_prompt` for firing pairs and
    for others: prompt_id k d_head, one row for each slice in the signal of a prompt's pair;
    notes: lines below the title.
    """
    missing = [
        f"{head_name(*head)} {state}"
        for head, both in usage.items()
        for state, frame in zip(STATES, both, strict=True)
        if frame.is_empty()
    ]
    most = max(frame["prompt_id"].n_unique() for both in usage.values() for frame in both)
    lines = [
        *notes,
        f"The store holds no pair of {', '.join(missing)}." if missing else "",
        f"At most {MOST_PROMPTS} prompts a panel, evenly chosen." if most > MOST_PROMPTS else "",
    ]
    rows = [
        alt.hconcat(
            *(
                _panel(frame, f"{head_name(*head)} {state}")
                for state, frame in zip(STATES, both, strict=True)
                if not frame.is_empty()
            ),
            spacing=30,
        )
        for head, both in usage.items()
        if not all(frame.is_empty() for frame in both)
    ]
    if not rows:
        return message(HEADING, " ".join(filter(None, lines)))
    return alt.concat(*rows, columns=1, title=title(HEADING, *lines), spacing=24)


def _panel(usage: pl.DataFrame, heading: str) -> alt.Chart:
    prompts = usage["prompt_id"].unique().sort().to_list()
    shown = [prompts[i] for i in _evenly(len(prompts))]
    column = {prompt: x for x, prompt in enumerate(shown)}
    n_slices = int(usage["d_head"][0])
    return (
        alt.Chart(inline(_runs(usage, column)))
        .transform_flatten(["from", "to"])
        .mark_rect(color=ORANGE)
        .encode(
            alt.X(
                "from:Q",
                title="prompt_id",
                scale=alt.Scale(domain=[0, len(shown)], nice=False),
                axis=_prompt_axis(shown),
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
            title=alt.TitleParams(
                heading,
                subtitle=f"{plural(len(prompts), 'prompt')}, "
                f"{usage.height / len(prompts):.1f} of {n_slices} slices on average",
                fontSize=13,
                subtitleFontSize=11,
            ),
        )
    )


def _prompt_axis(shown: Sequence[int]) -> alt.Axis:
    """Return an axis that names the prompts of some columns, below the middle of each."""
    columns = range(0, len(shown), -(-len(shown) // NAMED_PROMPTS))
    named = {f"{x + 0.5}": shown[x] for x in columns}
    return alt.Axis(
        grid=False,
        values=[x + 0.5 for x in columns],
        labelExpr=f"({json.dumps(named)})[datum.value]",
    )


def _evenly(n: int) -> list[int]:
    """At most `MOST_PROMPTS` of the first n whole numbers, evenly spaced."""
    most = min(n, MOST_PROMPTS)
    return [i * n // most for i in range(most)]


def _runs(usage: pl.DataFrame, column: Mapping[int, int]) -> list[dict[str, Any]]:
    """Step 2: of each slice that is used the columns where its runs start, and those after them."""
    rows = []
    for (k,), of_slice in sorted(usage.group_by("k")):
        used = sorted(column[p] for p in of_slice["prompt_id"].to_list() if p in column)
        starts = [x for before, x in pairwise([-2, *used]) if x != before + 1]
        ends = [x + 1 for x, after in pairwise([*used, -2]) if after != x + 1]
        if used:
            rows.append({"k": k, "prompts": len(used), "from": starts, "to": ends})
    return rows
