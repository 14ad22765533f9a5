"""Families of prompts with similar traces, compared with templates and orders.

1. The upper panel has a column for each prompt, in the order of the tree that joins prompts with
   similar traces, and rows with its family, template and order as colours. Families agree with the
   grouping whose colours change at the same places.
2. The lower panel has a row for each family and a column for each firing (a head with the roles
   that it attends between), at most `MOST_HEADS`, those that differ most between families. The
   opacity is the share of the family's prompts whose traces contain the firing.
"""

from collections.abc import Sequence

import altair as alt
import polars as pl

from svt.charts.style import (
    BLUE,
    CATEGORY,
    GREY,
    Chart,
    message,
    number,
    plural,
    share_opacity,
    title,
    with_firing_names,
)

HEADING = "Families of prompts"
MOST_HEADS, MOST_COLOURS = 30, 6
CELL, STRIP, LEAST_WIDTH = 21, 22, 480
"""Pixels of a square, of a row of the upper panel, and the smallest width of that panel."""
KINDS = {"family": "family", "template": "template", "pattern": "order"}


def prompt_families(families: pl.DataFrame, members: pl.DataFrame, heads: pl.DataFrame) -> Chart:
    """Draw the prompts by family, and the heads that differ between families.

    families, members and heads: rows of the queries `prompt_families`, `family_members` and
    `family_heads`, the latter with min_difference=0, so that each family has each head.
    """
    if families.is_empty():
        return message(HEADING, "Families need traces of three prompts or more.")
    heads = with_firing_names(heads)
    columns = _select_firings(heads)
    charts = [_draw_strips(members)] + ([_draw_squares(heads, columns)] if columns else [])
    n_left = heads["firing"].n_unique() - len(columns)
    return alt.vconcat(
        *charts,
        spacing=14,
        title=title(
            HEADING,
            _describe(families),
            f"Below: the {plural(len(columns), 'head')} that differ most between families; "
            f"{n_left:,} more not shown."
            if columns and n_left > 0
            else "",
        ),
    ).resolve_scale(color="independent")


def _describe(families: pl.DataFrame) -> str:
    """Say how many families there are, and which grouping they agree with."""
    first = families.row(0, named=True)
    n_prompts = plural(sum(families["n_prompts"].to_list()), "prompt")
    if first["goes_by"] == "one family":
        return f"{n_prompts}: their traces form no families beyond chance."
    indices = ", ".join(
        f"{KINDS[kind]} {number(first[f'rand_{kind}'], '.2f')}"
        for kind in ("template", "pattern")
        if first[f"rand_{kind}"] is not None
    )
    by = KINDS.get(first["goes_by"], "neither template nor order")
    agreement = f" (adjusted Rand index: {indices})" if indices else ""
    return f"{n_prompts} in {families.height} families, which agree with {by}{agreement}."


def _draw_strips(members: pl.DataFrame) -> alt.Chart:
    """Draw the upper panel (step 1); groups beyond the most frequent ones are grey."""
    rows = []
    for kind, name in KINDS.items():
        values = members[kind].cast(pl.String).fill_null("unknown")
        frequent = values.value_counts(sort=True).sort(["count", kind], descending=[True, False])
        rank = {value: i for i, value in enumerate(frequent[kind].to_list())}
        rows += [
            {
                "place": place,
                "end": place + 1,
                "kind": name,
                "value": value,
                "colour": CATEGORY[rank[value]] if rank[value] < MOST_COLOURS else GREY,
                "prompt": prompt,
                "text": text,
            }
            for place, value, prompt, text in zip(
                members["place"], values, members["prompt_id"], members["text"], strict=True
            )
            if values.n_unique() > 1 or kind == "family"
        ]
    frame = pl.DataFrame(rows)
    kinds = frame["kind"].unique(maintain_order=True).to_list()
    return (
        alt.Chart(frame)
        .mark_rect()
        .encode(
            alt.X("place:Q", title="prompts, similar traces side by side")
            .axis(grid=False, ticks=False, labels=False, domain=False)
            .scale(domain=[0, members.height], nice=False),
            alt.Y("kind:N", title=None, sort=kinds).axis(ticks=False, domain=False),
            x2="end:Q",
            color=alt.Color("colour:N", scale=None),
            tooltip=[
                alt.Tooltip("kind:N", title="grouped by"),
                alt.Tooltip("value:N", title="group"),
                alt.Tooltip("prompt:Q"),
                alt.Tooltip("text:N"),
            ],
        )
        .properties(width=max(LEAST_WIDTH, 2 * members.height), height=STRIP * len(kinds))
    )


def _select_firings(heads: pl.DataFrame) -> list[str]:
    """Return the firings that differ most between families, by layer and head."""
    order = ["layer", "head", "dest_role", "src_role"]
    spread = heads.group_by("firing", *order).agg(pl.col("difference").abs().max())
    most = spread.sort("difference", *order, descending=[True] + 4 * [False]).head(MOST_HEADS)
    return most.sort(order)["firing"].to_list()


def _draw_squares(heads: pl.DataFrame, columns: Sequence[str]) -> alt.Chart:
    """Draw the lower panel (step 2)."""
    rows = heads.filter(pl.col("firing").is_in(columns)).with_columns(
        name=pl.format("family {}, {} prompts", "family", "n_in_family")
    )
    names = rows.sort("family")["name"].unique(maintain_order=True).to_list()
    return (
        alt.Chart(
            rows.select("name", "firing", "n_prompts", "n_in_family", "share", "share_others")
        )
        .mark_rect(color=BLUE)
        .encode(
            alt.X("firing:N", title=None, scale=alt.Scale(domain=list(columns))).axis(
                labelAngle=-90, labelLimit=200
            ),
            alt.Y("name:N", title=None, sort=names).axis(ticks=False),
            opacity=share_opacity("share"),
            tooltip=[
                alt.Tooltip("firing:N", title="head"),
                alt.Tooltip("name:N", title="family"),
                alt.Tooltip("n_prompts:Q", title="prompts"),
                alt.Tooltip("share:Q", title="share of the family", format=".0%"),
                alt.Tooltip("share_others:Q", title="share of the others", format=".0%"),
            ],
        )
        .properties(width=CELL * len(columns), height=CELL * len(names))
    )
