"""The mean size, in each token, of the signal that a head reads from its source.

1. Each head has a column. The consensus of a head are the slices that many firings share; the size
   in a token is the norm of its projection onto their v.
2. Above, each token is a tick: names in one row, other tokens in another, at most `MOST_TICKS`
   each, evenly spaced.
3. Below, the `MOST_BARS` tokens with the largest signal are bars with labels.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import polars as pl

from svt.charts.style import (
    BLUE,
    ORANGE,
    Chart,
    head_name,
    head_names,
    message,
    panel_title,
    pick_evenly,
    plural,
    title,
)

HEADING = "Size of the signal in each token"
NAME, OTHER = "names", "other tokens"
MOST_TICKS, MOST_BARS = 150, 40
WIDTH, BAR = 220, 13


def signal_by_token(
    sizes: Mapping[tuple[int, int], pl.DataFrame],
    *,
    min_firings: int,
    missing: Sequence[tuple[int, int]] = (),
    notes: Sequence[str] = (),
) -> Chart:
    """Draw the ticks and bars of each head.

    sizes: for each (layer, head) the rows of the query `signal_by_token`, the largest first;
    min_firings: the firings that should share a slice of the consensus;
    missing: heads whose coordinates are not stored; notes: lines below the title.
    """
    lines = list(notes)
    if missing:
        heads = str(sorted([*head] for head in [*sizes, *missing])).replace(" ", "")
        lines += [
            f"Not stored: the coordinates of {head_names(missing)}.",
            f'"dump.coordinates={heads}" stores all.',
        ]
    shared = {head: rows for head, rows in sizes.items() if rows.height and rows["n_consensus"][0]}
    if without := head_names(head for head in sizes if head not in shared):
        lines.append(f"The firings of {without} share no slice.")
    if not shared:
        return message(HEADING, *lines)
    columns = [_draw_column(rows, head_name(*head), min_firings) for head, rows in shared.items()]
    return alt.hconcat(*columns, title=title(HEADING, *lines), spacing=24)


def label_tokens(tokens: Sequence[str]) -> list[str]:
    """Return the tokens without outer spaces, or in quotes where two would be equal without."""
    bare = [token.strip() for token in tokens]
    counts = Counter(bare)
    return [
        text if text and counts[text] == 1 else f"“{token}”".replace("\n", "⏎")
        for text, token in zip(bare, tokens, strict=True)
    ]


def _draw_column(sizes: pl.DataFrame, name: str, min_firings: int) -> alt.VConcatChart:
    first = sizes.row(0, named=True)
    tokens = sizes.select(
        "n",
        label=pl.Series(label_tokens(sizes["token"].to_list())),
        size=pl.col("mean_size").round_sig_figs(5),
        kind=pl.when("is_name").then(pl.lit(NAME)).otherwise(pl.lit(OTHER)),
    )
    ticks = pl.concat(
        of_kind[pick_evenly(of_kind.height, MOST_TICKS)]
        for _, of_kind in tokens.group_by("kind", maintain_order=True)
    )
    bars = tokens.head(MOST_BARS)
    x = alt.X(
        "size:Q",
        title="mean size of the signal",
        scale=alt.Scale(domain=[0, float(sizes["mean_size"].max())]),  # type: ignore[arg-type]
    )
    colour = alt.Color(
        "kind:N",
        title=None,
        scale=alt.Scale(domain=[NAME, OTHER], range=[ORANGE, BLUE]),
        legend=None,
    )
    tooltip = [
        alt.Tooltip("label:N", title="token"),
        alt.Tooltip("kind:N", title="one of the"),
        alt.Tooltip("size:Q", title="mean size"),
        alt.Tooltip("n:Q", title="occurrences", format=","),
    ]
    strip = (
        alt.Chart(ticks)
        .mark_tick(thickness=1.5, size=18, opacity=0.7)
        .encode(x.axis(None), alt.Y("kind:N", title=None, axis=alt.Axis(ticks=False)))
        .properties(
            width=WIDTH,
            height=24 * ticks["kind"].n_unique(),
            title=panel_title(name, _describe_column(first, tokens, ticks, min_firings)),
        )
    )
    labelled = (
        alt.Chart(bars)
        .mark_bar()
        .encode(
            x,
            alt.Y("label:N", title=None, sort=bars["label"].to_list(), axis=alt.Axis(ticks=False)),
        )
        .properties(width=WIDTH, height=BAR * bars.height)
    )
    return alt.vconcat(
        *(chart.encode(color=colour, tooltip=tooltip) for chart in (strip, labelled)),
        bounds="flush",
        spacing=8,
    )


def _describe_column(
    first: Mapping[str, Any], tokens: pl.DataFrame, ticks: pl.DataFrame, min_firings: int
) -> list[str]:
    """Say which slices the consensus has, and how many tokens are shown."""
    fewer = first["consensus_from"] < min_firings
    return [
        f"{plural(first['n_consensus'], 'slice')}, in the signal of at least",
        f"{first['consensus_from']:,} of {plural(first['n_firings'], 'firing')}"
        + (f" (none in {min_firings:,})" if fewer else ""),
        f"bars: {min(MOST_BARS, tokens.height)} of {plural(tokens.height, 'token')}"
        + (f", ticks: {ticks.height:,}" if ticks.height < tokens.height else ""),
    ]
