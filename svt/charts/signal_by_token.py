"""How much of the signal that a head reads from a source lies in each token, on average.

1. A column for each head. The slices that many firings share make the consensus; the size in a
   token is that of its projection onto their v.
2. Above, every token is a tick: names in one row, other tokens in another, at most `MOST_TICKS`
   each, evenly chosen.
3. Below, the `MOST_BARS` tokens with the largest signal are bars with their text.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt
import polars as pl

from svt.charts.style import BLUE, ORANGE, Chart, head_name, message, plural, title

HEADING = "Size of the signal in each token"
NAME, OTHER = "names", "other tokens"
MOST_TICKS, MOST_BARS = 150, 40
WIDTH, BAR = 220, 13


def signal_by_token(
    sizes: Mapping[tuple[int, int], pl.DataFrame],
    *,
    min_firings: int,
    lacking: Sequence[tuple[int, int]] = (),
    notes: Sequence[str] = (),
) -> Chart:
    """Ticks and bars for each head.

    sizes: of each (layer, head) the rows of the query `signal_by_token`: token is_name n mean_size
    n_consensus consensus_from n_firings, the largest first; min_firings: what the consensus was to
    share; lacking: heads whose coordinates are not stored; notes: lines below the title.
    """
    lines = list(notes)
    if lacking:
        stores = str(sorted([*head] for head in [*sizes, *lacking])).replace(" ", "")
        lines += [
            f"Not stored: the coordinates of {', '.join(head_name(*head) for head in lacking)}.",
            f'"dump.coordinates={stores}" stores all.',
        ]
    if apart := [head_name(*head) for head, frame in sizes.items() if not _consensus(frame)]:
        lines.append(f"The firings of {', '.join(apart)} share no slice.")
    columns = [
        _column(frame, head_name(*head), min_firings)
        for head, frame in sizes.items()
        if _consensus(frame)
    ]
    if not columns:
        return message(HEADING, " ".join(filter(None, lines)))
    return alt.hconcat(*columns, title=title(HEADING, *lines), spacing=24)


def _consensus(sizes: pl.DataFrame) -> int:
    """How many slices the consensus has."""
    return 0 if sizes.is_empty() else int(sizes["n_consensus"][0])


def labels(tokens: Sequence[str]) -> list[str]:
    """The texts of tokens without the space before them, in quotes where that makes two alike."""
    bare = [token.strip() for token in tokens]
    often = Counter(bare)
    return [
        text if text and often[text] == 1 else f"“{token}”".replace("\n", "⏎")
        for text, token in zip(bare, tokens, strict=True)
    ]


def _column(sizes: pl.DataFrame, name: str, min_firings: int) -> alt.VConcatChart:
    first = sizes.row(0, named=True)
    tokens = sizes.select(
        "n",
        label=pl.Series(labels(sizes["token"].to_list())),
        size=pl.col("mean_size").round_sig_figs(5),
        kind=pl.when("is_name").then(pl.lit(NAME)).otherwise(pl.lit(OTHER)),
    )
    ticks = pl.concat(
        _evenly(of_kind) for _, of_kind in tokens.group_by("kind", maintain_order=True)
    )
    bars = tokens.head(MOST_BARS)
    x = alt.X(
        "size:Q",
        title="mean size of the signal",
        scale=alt.Scale(domain=[0, float(sizes["mean_size"].max())]),  # type: ignore[arg-type]
    )
    strip = (
        alt.Chart(ticks)
        .mark_tick(thickness=1.5, size=18, opacity=0.7)
        .encode(x.axis(None), alt.Y("kind:N", title=None, axis=alt.Axis(ticks=False)))
        .properties(
            width=WIDTH,
            height=24 * ticks["kind"].n_unique(),
            title=alt.TitleParams(
                name,
                subtitle=_says(first, tokens, ticks, min_firings),
                fontSize=13,
                subtitleFontSize=11,
            ),
        )
    )
    named = (
        alt.Chart(bars)
        .mark_bar()
        .encode(
            x,
            alt.Y("label:N", title=None, sort=bars["label"].to_list(), axis=alt.Axis(ticks=False)),
        )
        .properties(width=WIDTH, height=BAR * bars.height)
    )
    return alt.vconcat(
        *(chart.encode(color=_colour(), tooltip=_tooltip()) for chart in (strip, named)),
        bounds="flush",
        spacing=8,
    )


def _says(
    first: Mapping[str, Any], tokens: pl.DataFrame, ticks: pl.DataFrame, min_firings: int
) -> list[str]:
    """Which slices, and what is left out."""
    fewer = first["consensus_from"] < min_firings
    return [
        f"{plural(first['n_consensus'], 'slice')}, in the signal of at least",
        f"{first['consensus_from']:,} of {plural(first['n_firings'], 'firing')}"
        + (f" (none in {min_firings:,})" if fewer else ""),
        f"bars: {min(MOST_BARS, tokens.height)} of {plural(tokens.height, 'token')}"
        + (f", ticks: {ticks.height:,}" if ticks.height < tokens.height else ""),
    ]


def _evenly(tokens: pl.DataFrame) -> pl.DataFrame:
    """At most `MOST_TICKS` of the rows, the largest first and evenly spaced."""
    most = min(tokens.height, MOST_TICKS)
    return tokens[[i * tokens.height // most for i in range(most)]]


def _colour() -> alt.Color:
    return alt.Color(
        "kind:N",
        title=None,
        scale=alt.Scale(domain=[NAME, OTHER], range=[ORANGE, BLUE]),
        legend=None,
    )


def _tooltip() -> list[alt.Tooltip]:
    return [
        alt.Tooltip("label:N", title="token"),
        alt.Tooltip("kind:N", title="one of the"),
        alt.Tooltip("size:Q", title="mean size"),
        alt.Tooltip("n:Q", title="occurrences", format=","),
    ]
