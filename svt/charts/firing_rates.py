"""How often the heads of the trace fire, template by template and for both orders of the names.

1. A column is a head with the roles that it attends between, ordered by layer and head, that has
   at least the rate asked for in some row; of more than `MOST_FIRINGS` those that differ most
   between the rows are kept. Both panels have the same columns.
2. Rows are the templates, below them the orders; of more than `MOST_GROUPS` templates those with
   most prompts. Only kinds of groups of which there are two or more have a panel.
3. The colour is the share of the row's prompts in which the head fires so, from 0 to 1.
"""

import textwrap
from collections.abc import Mapping, Sequence

import altair as alt
import polars as pl

from svt.charts.style import BLUE, Chart, message, plural, title

HEADING = "Firing rates by template and order"
KINDS = {"template": "template", "pattern": "order"}
MOST_FIRINGS, MOST_GROUPS = 40, 24
CELL, LINE, WRAP = 21, 14, 46
"""Pixels for a column and for a line of a template's text; letters on such a line."""


def firing_rates(
    rates: Mapping[str, pl.DataFrame], *, least: float = 0.0, notes: Sequence[str] = ()
) -> Chart:
    """A panel of squares for the templates, and one for the orders.

    rates: of each of `KINDS` rows of the query `firing_rates`: layer head dest_role src_role
    prompt_group n_in_group n_prompts rate mean_weight; least: the rate of step 1; notes: lines
    below the title.
    """
    told = {kind: _labelled(frame) for kind, frame in rates.items() if _groups(frame) > 1}  # 2
    every = list(dict.fromkeys(name for of in told.values() for name in _frequent(of, least)))
    if not every:
        return message(HEADING, "No firing in prompts of two or more known templates or orders.")
    first = next(iter(told.values()))
    kept = _most_different(first, every)  # 1
    panels = [
        _panel(
            frame.filter(pl.col("firing").is_in(kept)), KINDS[kind], kept, kind == list(told)[-1]
        )
        for kind, frame in told.items()
    ]
    n_hidden = max(_groups(first) - MOST_GROUPS, 0)
    return alt.concat(
        *panels,
        columns=1,
        spacing=10,
        title=title(
            HEADING,
            *notes,
            f"Left out: {plural(len(every) - len(kept), 'firing')} that differ less between rows."
            if len(kept) < len(every)
            else "",
            f"Left out: {plural(n_hidden, 'template')} with fewer prompts." if n_hidden else "",
        ),
    )


def _groups(frame: pl.DataFrame) -> int:
    return frame["prompt_group"].n_unique()


def _labelled(frame: pl.DataFrame) -> pl.DataFrame:
    """With the column's name, `5.4 end -> IO`."""
    return frame.with_columns(
        firing=pl.format(
            "{}.{} {} -> {}",
            "layer",
            "head",
            pl.col("dest_role").fill_null("other"),
            pl.col("src_role").fill_null("other"),
        )
    )


def _frequent(frame: pl.DataFrame, least: float) -> list[str]:
    """The firings with at least that rate in some group, in order."""
    frequent = frame.filter(pl.col("rate") >= least)
    return frequent.unique("firing", maintain_order=True)["firing"].to_list()


def _most_different(frame: pl.DataFrame, every: Sequence[str]) -> list[str]:
    """Of `every` those that are drawn, in their order."""
    spread = (
        frame.filter(pl.col("firing").is_in(every))
        .group_by("firing", maintain_order=True)
        .agg(pl.col("rate").max() - pl.col("rate").min())
        .sort("rate", descending=True, maintain_order=True)
    )
    kept = set(spread["firing"].head(MOST_FIRINGS))
    order = frame.unique("firing", maintain_order=True)["firing"].to_list()
    return [firing for firing in order if firing in kept]


def _most_frequent(frame: pl.DataFrame) -> list[str]:
    groups = frame.unique("prompt_group", maintain_order=True)
    most = groups.sort("n_in_group", descending=True, maintain_order=True).head(MOST_GROUPS)
    return sorted(most["prompt_group"])


def _panel(frame: pl.DataFrame, kind: str, firings: Sequence[str], last: bool) -> alt.Chart:
    """Firings to the right, groups downwards; the last panel names the firings."""
    groups = _most_frequent(frame)
    frame = frame.filter(pl.col("prompt_group").is_in(groups))
    wrapped = {group: _lines(group) for group in groups}
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
            opacity=alt.Opacity(
                "rate:Q",
                title="share of the prompts",
                scale=alt.Scale(domain=[0, 1], range=[0, 1]),
                legend=alt.Legend(format="%", values=[0.25, 0.5, 0.75, 1], symbolType="square"),
            ),
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


def _lines(template: str) -> str:
    """A template without its marks, on lines of at most `WRAP` letters, three at most."""
    plain = template.translate(str.maketrans("", "", "{}<>"))
    return "\n".join(textwrap.wrap(plain, WRAP, max_lines=3, placeholder=" …"))
