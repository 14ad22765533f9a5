"""The firing rates of the heads of the trace, by template and by the order of the names.

1. A column is a firing: a head with the roles that it attends between, ordered by layer and head,
   with a rate of at least `min_rate` in some row. At most `MOST_FIRINGS` are shown, those whose
   rates differ most between the rows. Both panels have the same columns.
2. Rows are the templates, at most `MOST_GROUPS`, those with most prompts, and in the panel below
   the orders. A panel needs two groups or more.
3. The opacity is the share of the row's prompts that have the firing, from 0 to 1.
"""

import textwrap
from collections.abc import Collection, Mapping, Sequence

import altair as alt
import polars as pl

from svt.charts.style import (
    BLUE,
    Chart,
    message,
    plural,
    share_opacity,
    title,
    with_firing_names,
)

HEADING = "Firing rates by template and order"
KINDS = {"template": "template", "pattern": "order"}
MOST_FIRINGS, MOST_GROUPS = 40, 24
CELL, LINE, WRAP = 21, 14, 46
"""Pixels of a column and of a line of a template's text; the most characters in such a line."""


def firing_rates(
    rates: Mapping[str, pl.DataFrame], *, min_rate: float = 0.0, notes: Sequence[str] = ()
) -> Chart:
    """Draw a panel of squares for the templates, and one for the orders.

    rates: for each of `KINDS` the rows of the query `firing_rates`; notes: lines below the title.
    """
    frames = {  # 2
        kind: with_firing_names(frame) for kind, frame in rates.items() if _count_groups(frame) > 1
    }
    frequent = [frame.filter(pl.col("rate") >= min_rate) for frame in frames.values()]
    firings = {firing for frame in frequent for firing in frame["firing"]}
    if not firings:
        return message(HEADING, "No firing in prompts of two or more known templates or orders.")
    first, last = next(iter(frames.values())), list(frames)[-1]
    shown = _select_firings(first, firings)  # 1
    panels = [
        _draw_panel(frame.filter(pl.col("firing").is_in(shown)), KINDS[kind], shown, kind == last)
        for kind, frame in frames.items()
    ]
    n_firings, n_groups = len(firings) - len(shown), _count_groups(first) - MOST_GROUPS
    return alt.concat(
        *panels,
        columns=1,
        spacing=10,
        title=title(
            HEADING,
            *notes,
            f"Left out: {plural(n_firings, 'firing')} with more similar rates."
            if n_firings > 0
            else "",
            f"Left out: {plural(n_groups, 'template')} with fewer prompts." if n_groups > 0 else "",
        ),
    )


def _count_groups(frame: pl.DataFrame) -> int:
    return frame["prompt_group"].n_unique()


def _select_firings(frame: pl.DataFrame, firings: Collection[str]) -> list[str]:
    """Return those of `firings` whose rates differ most, in the order of the rows."""
    spread = (
        frame.filter(pl.col("firing").is_in(firings))
        .group_by("firing", maintain_order=True)
        .agg(pl.col("rate").max() - pl.col("rate").min())
        .with_row_index("place")
        .sort("rate", descending=True, maintain_order=True)
    )
    return spread.head(MOST_FIRINGS).sort("place")["firing"].to_list()


def _draw_panel(frame: pl.DataFrame, kind: str, firings: Sequence[str], last: bool) -> alt.Chart:
    """Draw firings from left to right and groups downwards, with labels of firings if `last`."""
    largest = frame.unique("prompt_group", maintain_order=True).sort(
        "n_in_group", descending=True, maintain_order=True
    )
    groups = sorted(largest["prompt_group"].head(MOST_GROUPS))
    frame = frame.filter(pl.col("prompt_group").is_in(groups))
    wrapped = {group: _wrap_template(group) for group in groups}
    lines = max(text.count("\n") + 1 for text in wrapped.values())
    values = frame.select(
        "firing", "n_prompts", "n_in_group", "rate", "mean_weight", group="prompt_group"
    ).with_columns(label=pl.col("group").replace_strict(wrapped))
    return (
        alt.Chart(values)
        .mark_rect(color=BLUE)
        .encode(
            alt.X("firing:N", title=None, scale=alt.Scale(domain=list(firings))).axis(
                alt.Axis(labelAngle=-90, labelLimit=200, orient="bottom") if last else None
            ),
            alt.Y("label:N", title=None, sort=[wrapped[group] for group in groups]).axis(
                labelLimit=400,
                labelExpr="split(datum.value, '\\n')",
                labelOffset=-LINE * (lines - 1) / 2,
                ticks=False,
            ),
            opacity=share_opacity("rate"),
            tooltip=[
                alt.Tooltip("firing:N", title="head"),
                alt.Tooltip("group:N", title=kind),
                alt.Tooltip("rate:Q", title="share of prompts", format=".3~f"),
                alt.Tooltip("n_prompts:Q", title="prompts"),
                alt.Tooltip("n_in_group:Q", title="of"),
                alt.Tooltip("mean_weight:Q", title="mean weight", format=".3~f"),
            ],
        )
        .properties(width=CELL * len(firings), height=max(CELL, LINE * lines) * len(groups))
    )


def _wrap_template(template: str) -> str:
    """Return a template without its slot marks, on at most three lines of `WRAP` characters."""
    plain = template.translate(str.maketrans("", "", "{}<>"))
    return "\n".join(textwrap.wrap(plain, WRAP, max_lines=3, placeholder=" …"))
