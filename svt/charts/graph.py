"""The traced graph: heads by layer and token role, edges by side, width by strength.

1. Nodes. A node is a head at a token role: the token that it writes to. The upstream end of an edge
   is its head at the edge's role, the downstream end its head at the role that the edge's firings
   mostly attend from. Tokens without a role share a column; an edge whose side is not told, as
   imported ones may be, is grey.
2. At the start the edges from the threshold on are shown. If they need more than `MAX_NODES` nodes
   or are more than `MAX_EDGES`, only the strongest stay: the longest run of them that fits, in
   descending order of what svt/charts/graph_strength.py measures, a count or an effect.
3. In a page a slider moves the threshold. Weaker edges come forth as far as they, with the others,
   are no more than `MAX_EDGES` and their nodes find room; a node goes with its last edge, but roots
   stay.
4. All is laid out (svt/charts/layout.py) and drawn (svt/charts/graph_marks.py). What 2 and 3 leave
   out is said below the title, and for every place of the slider above the picture.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import polars as pl

from svt.charts.graph_answer import answer_rows, answer_told
from svt.charts.graph_marks import draw_graph
from svt.charts.graph_strength import DECIMALS, ByCount, ByEffect, Measure, edge_of, with_counts
from svt.charts.layout import Edge, Node, lay_out
from svt.charts.style import Chart, message, plural, title

Head = tuple[int, int]
Row = dict[str, Any]

MAX_NODES, MAX_EDGES = 100, 250
HEADING = "Traced graph"
KEY = ("layer", "head", "component", "up_layer", "up_head", "side", "role")


def graph(
    edges: pl.DataFrame,
    nodes: pl.DataFrame,
    *,
    root_dest: str = "end",
    count: str = "prompts",
    min_count: float = 1,
    by_effect: bool = False,
    heading: str = HEADING,
    left_out: str = "",
    rule: str = "",
    order: Sequence[str] = (),
    answer: pl.DataFrame | None = None,
) -> Chart:
    """The graph from a threshold on.

    edges: rows of the query `graph_links`, unfiltered; by_effect: of `with_effects`;
    nodes: of `graph_nodes`, likewise, or of `known_heads`: layer head is_root in_reference class,
    n_prompts where it is known, and `does` (with_roles);
    count: prompts, firings or visits, the column that `min_count` is held against;
    by_effect: `min_count` is held against `strength` instead, an effect on the attention weight;
    left_out, rule: what the rows lack, and how they were traced; sentences for below the title;
    order: the roles from left to right, of the query `place_order`;
    answer: rows of the query `answer_edges`, which stand at the top (svt/charts/graph_answer.py).
    """
    heads = {(row["layer"], row["head"]): row for row in nodes.to_dicts()}
    roots = [Node(*head, root_dest) for head, row in heads.items() if row["is_root"]]
    measure = ByEffect() if by_effect else ByCount(count)
    edges = edges if by_effect else with_counts(edges, count)
    offer = _offered(_strengths(edges, measure), roots, min_count)
    told = _told(offer, measure, min_count)
    if not offer.shown and not roots:
        return message(heading, told)
    layout = lay_out(  # 4
        roots, [s.edge for s in offer.shown], [s.edge for s in offer.weaker], order=order
    )
    drawn = [s for s in (*offer.shown, *offer.weaker) if s.edge in layout.curves]
    return draw_graph(
        layout,
        [(s.edge, s.row) for s in drawn],
        roots,
        heads,
        count=count,
        measure=measure,
        start=offer.start,
        levels=_levels(offer, drawn, roots, measure),
        answer=[] if answer is None else answer_rows(layout, answer, root_dest),
        root_dest=root_dest,
    ).properties(
        title=title(
            heading,
            told,
            left_out,
            rule,
            _key(heads, count, drawn),
            "" if answer is None else answer_told(answer),
            _verdicts(offer.shown),
        )
    )


def top_layers(
    edges: pl.DataFrame, column: str, least_shown: float
) -> tuple[pl.DataFrame, int, str]:
    """The edges within the upper third of the layers shown, two at least.

    With the lowest of these layers, and a sentence on what is left out.

    edges: rows of `graph_links`; the graph shows those from `least_shown` of `column` on.
    """
    shown = edges.filter(pl.col(column) >= least_shown)
    if shown.is_empty():
        return shown, 0, ""
    highest = max(shown["layer"].to_list())
    lowest = min(shown["up_layer"].fill_null(0).to_list())
    least = highest - max((highest - lowest) // 3, 1)
    top = edges.filter(pl.col("up_layer") >= least)
    n_below = shown.filter(pl.col("up_layer").is_null() | (pl.col("up_layer") < least)).height
    return (
        top,
        least,
        f"Layers {least} to {highest}; {plural(n_below, 'edge')} from below not shown.",
    )


def with_verdicts(edges: pl.DataFrame, validated: pl.DataFrame) -> pl.DataFrame:
    """The edges with a column `causal`: helps, hinders, no, too few (prompts) or not tested.

    As they are where none was tested. validated: rows of the query `validated_edges`. One without a
    random control was not tested; of several for an edge, as by strength or by the role at its
    other end, one causal is enough, the first of them.
    """
    tested = validated.drop_nulls("random_low")
    if tested.is_empty():
        return edges
    edge = ["layer", "head", "side", "up_layer", "up_head", "role"]
    verdicts = (
        tested.with_columns(
            pl.col("side").cast(pl.String),
            role=pl.when(pl.col("side").cast(pl.String) == "dest")
            .then("dest_role")
            .otherwise("src_role"),
        )
        .group_by(edge)
        .agg(
            causal=pl.when(pl.col("validated").any())
            .then(
                pl.when(pl.col("helps").drop_nulls().first())
                .then(pl.lit("helps"))
                .otherwise(pl.lit("hinders"))
            )
            .when(pl.col("validated").is_not_null().any())
            .then(pl.lit("no"))
            .otherwise(pl.lit("too few prompts"))
        )
    )
    return (
        edges.with_columns(pl.col("side").cast(pl.String))
        .join(verdicts, on=edge, how="left", maintain_order="left")
        .with_columns(pl.col("causal").fill_null("not tested"))
    )


def with_roles(nodes: pl.DataFrame, roles: pl.DataFrame) -> pl.DataFrame:
    """The nodes with a column `does`: what each head mostly attends to from a role, in words.

    roles: rows of the query `head_roles`, the most frequent of a head first.
    """
    words = (
        pl.format("{} -> {}", "dest_role", pl.col("src_role").fill_null("a token without a role")),
        pl.format(" ({})", "pattern").fill_null(""),
        pl.format(", {}% of the prompts", (pl.col("share") * 100).round(0).cast(pl.Int64)),
    )
    does = (
        roles.drop_nulls("dest_role")
        .unique(["layer", "head", "dest_role"], keep="first", maintain_order=True)
        .with_columns(told=pl.concat_str(words))
        .group_by("layer", "head")
        .agg(does=pl.struct("dest_role", "told"))
    )
    return nodes.join(does, on=["layer", "head"], how="left", maintain_order="left")


@dataclass(frozen=True)
class Strength:
    """A row of the frame as an edge between nodes, with what thresholds are held against."""

    value: float
    edge: Edge
    row: Row


@dataclass(frozen=True)
class Offer:
    """Steps 2 and 3."""

    all: list[Strength]
    """Every edge, the strongest first."""
    n_kept: int
    """How many of them reach the threshold."""
    shown: list[Strength]
    weaker: list[Strength]
    start: float
    """The least value of what is shown at first."""


def _strengths(edges: pl.DataFrame, measure: Measure) -> list[Strength]:
    """Step 1, in falling order of strength."""
    order = (pl.col(name).fill_null(0) for name in measure.order)
    rows = edges.sort(*order, *KEY, descending=True).to_dicts()
    return [Strength(row["strength"], edge_of(row), row) for row in rows]


def _offered(every: list[Strength], roots: list[Node], min_count: float) -> Offer:
    n_kept = sum(s.value >= min_count for s in every)
    n_shown = _fitting(every[:n_kept], roots)
    narrowed = n_shown < n_kept
    start = every[n_shown - 1].value if narrowed and n_shown else min_count
    weaker = [s for s in every[n_shown:MAX_EDGES] if s.value < start]
    return Offer(every, n_kept, every[:n_shown], weaker, start)


def _fitting(strengths: list[Strength], roots: list[Node]) -> int:
    """How many edges, from the first, step 2 keeps."""
    nodes = set(roots)
    for i, strength in enumerate(strengths):
        nodes |= {strength.edge.up, strength.edge.down}
        if len(nodes) > MAX_NODES or i >= MAX_EDGES:
            return i
    return len(strengths)


def _levels(
    offer: Offer, drawn: list[Strength], roots: list[Node], measure: Measure
) -> list[dict[str, Any]]:
    """What the picture holds at every place of the slider: from `low` to `high`, in words."""
    if not drawn:
        return []
    least = min(s.value for s in drawn)
    values = sorted({s.value for s in offer.all if s.value >= least})
    levels = []
    for below, at in pairwise([least - measure.step, *values]):
        there = [s for s in drawn if s.value >= at]
        heads = {n for s in there for n in (s.edge.up, s.edge.down) if n.component == "head"}
        n_heads = len({(n.layer, n.head) for n in (*heads, *roots)})
        n_all = sum(s.value >= at for s in offer.all)
        of = "" if n_all == len(there) else f" of {n_all:,}"
        edges = f"{len(there):,}{of} edge" + ("" if n_all == 1 else "s")
        low = round(below + measure.step, DECIMALS)
        levels.append({"low": low, "high": at, "text": f"{edges}, {plural(n_heads, 'head')}"})
    return levels


def _told(offer: Offer, measure: Measure, min_count: float) -> str:
    """What is shown at the start and what is not, in a sentence."""
    if not offer.all:
        return "No edges: nothing upstream of the roots was significant, or no token has a role."
    n_weak, n_shown = len(offer.all) - offer.n_kept, len(offer.shown)
    least = measure.at_least(min_count)
    if n_shown == offer.n_kept:
        weak = f"{n_weak:,} weaker not shown" if n_weak else "all edges are shown"
        return f"{plural(n_shown, 'edge')} {least}; {weak}."
    return (
        f"Narrowed to the strongest {plural(n_shown, 'edge')}, for at most {MAX_NODES} nodes and "
        f"{MAX_EDGES} edges: {offer.n_kept - n_shown:,} more {least} and {n_weak:,} weaker "
        "not shown."
    )


def _verdicts(shown: list[Strength]) -> str:
    found = [s.row.get("causal") for s in shown]
    helping, hindering, others = (found.count(each) for each in ("helps", "hinders", "no"))
    few, tested = found.count("too few prompts"), helping + hindering + others
    told = f" {few:,} in too few prompts (dash-dotted)." if few else ""
    if not tested:
        return f"Tested by ablation:{told}" if told else ""
    return (
        f"Tested by ablation: {helping + hindering:,} of {plural(tested, 'edge')} causal, "
        f"{helping:,} for the answer and {hindering:,} against it (dotted); "
        f"dashed: tested, not causal.{told}"
    )


def _key(heads: dict[Head, Row], count: str, drawn: list[Strength]) -> str:
    known = any(row["in_reference"] for row in heads.values())
    ring = " Ringed: in the reference." if known else ""
    grey = " Grey: side not told." if any(s.edge.side is None for s in drawn) else ""
    root = " Filled: root." if any(row["is_root"] for row in heads.values()) else ""
    return (
        "Columns: the token that a head writes to; a head that writes to several stands in each."
        f"{root}{ring} Faint: few {count}.{grey}"
    )
