"""Rows of panels, one row a head: at the left pairs on which it fires, at the right other pairs."""

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import altair as alt

from svt.charts.style import Chart, head_name, message, title

STATES = ("firing", "not firing")
Rows = TypeVar("Rows")


def draw_states(
    pairs: Mapping[tuple[int, int], Sequence[Rows | None]],
    draw_panel: Callable[[Rows, str], alt.Chart],
    heading: str,
    notes: Sequence[str],
    *,
    spacing: int,
    share_y: bool = False,
) -> Chart:
    """Draw a panel for each head and state; a message if the store has no pairs at all.

    pairs: for each (layer, head) the argument of `draw_panel` for each of STATES, None where the
    store has no such pair; draw_panel: receives this argument and the panel's title;
    notes: lines below the heading; spacing: pixels between rows; share_y: one y scale for a row.
    """
    missing, rows = [], []
    for head, states in pairs.items():
        names = (f"{head_name(*head)} {state}" for state in STATES)
        named = dict(zip(names, states, strict=True))
        panels = [draw_panel(drawn, name) for name, drawn in named.items() if drawn is not None]
        missing += [name for name, drawn in named.items() if drawn is None]
        if panels:
            row = alt.hconcat(*panels, spacing=30)
            rows.append(row.resolve_scale(y="shared") if share_y else row)
    lines = [*notes, f"The store holds no pair of {', '.join(missing)}." if missing else ""]
    if not rows:
        return message(heading, *lines)
    return alt.concat(*rows, columns=1, title=title(heading, *lines), spacing=spacing)
