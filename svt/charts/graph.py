"""The traced graph: heads by layer and token role, edges by side, width by size.

1. A node is a head at a token role: the token that it writes to. The upstream end of an edge is its
   head at the edge's role, the downstream end its head at the role that the edge's firings mostly
   attend from. Tokens without a role have one column; an edge of unknown side, which imported
   circuits may have, is grey.
2. The initial picture has the edges from the threshold on. If they are more than `MAX_EDGES` or
   need more than `MAX_NODES` nodes, only the strongest remain: the longest prefix that fits, in
   descending order of strength (svt/charts/graph_strength.py), a count or an effect.
3. In a page a slider moves the threshold. It shows weaker edges up to `MAX_EDGES` edges in total,
   if the layout has free places for their nodes. A node is hidden with its last edge, except roots.
4. svt/charts/layout.py computes the places and svt/charts/graph_marks.py draws the marks. The
   subtitle describes what step 2 leaves out, a line above the picture what the slider shows.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import polars as pl

from svt.charts.graph_answer import answer_rows, describe_answer
from svt.charts.graph_marks import draw_marks
from svt.charts.graph_rows import edge_rows, node_rows
from svt.charts.graph_strength import BY_EFFECT, DECIMALS, Measure, by_count, edge_of
from svt.charts.layout import Edge, Node, count_fitting, lay_out
from svt.charts.style import Chart, Row, message, plural, title

Edges = list[tuple[Edge, Row]]

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
    """Draw the graph from a threshold on.

    edges: rows of the query `graph_links`, unfiltered; by_effect: of `with_effects`;
    nodes: of `graph_nodes`, unfiltered, or of `known_heads`: layer head is_root in_reference class,
    n_prompts where it is known, and `does` (with_roles);
    count: prompts, firings or visits, the column that `min_count` is a threshold of;
    by_effect: `min_count` is a threshold of `strength` instead, an effect on the attention weight;
    left_out, rule: sentences for the subtitle on missing edges and on how the graph was traced;
    order: the roles from left to right, of the query `place_order`;
    answer: rows of the query `answer_edges`, drawn at the top (svt/charts/graph_answer.py).
    """
    heads = {(row["layer"], row["head"]): row for row in nodes.to_dicts()}
    roots = [Node(*head, root_dest) for head, row in heads.items() if row["is_root"]]
    measure = BY_EFFECT if by_effect else by_count(count)
    if not by_effect:
        edges = edges.with_columns(strength=pl.col(f"n_{count}"), size=pl.col("total").abs())
    split = _split_edges(edges, measure, roots, min_count)
    summary = _describe_edges(split, measure, min_count)
    if not split.shown and not roots:
        return message(heading, summary)
    shown, weaker = ([edge for edge, _ in of] for of in (split.shown, split.weaker))
    layout = lay_out(roots, shown, weaker, order=order)  # 4
    drawn = [(edge, row) for edge, row in split.shown + split.weaker if edge in layout.curves]
    return draw_marks(
        layout,
        edge_rows(layout, drawn, count),
        node_rows(layout, drawn, roots, heads),
        measure=measure,
        start=split.start,
        levels=_list_levels(split, drawn, roots, measure),
        answer=[] if answer is None else answer_rows(layout, answer, root_dest),
        root_dest=root_dest,
    ).properties(
        title=title(
            heading,
            summary,
            left_out,
            rule,
            _describe_marks(heads, count, drawn),
            "" if answer is None else describe_answer(answer),
            _describe_verdicts(split.shown),
        )
    )


def select_top_layers(
    edges: pl.DataFrame, column: str, threshold: float
) -> tuple[pl.DataFrame, int, str]:
    """Return the edges within the upper third of the layers shown, at least two layers.

    The other values are the lowest of these layers, and a sentence on the edges below.

    edges: rows of `graph_links`; the graph shows those from `threshold` of `column` on.
    """
    shown = edges.filter(pl.col(column) >= threshold)
    if shown.is_empty():
        return shown, 0, ""
    highest = max(shown["layer"].to_list())
    lowest = min(shown["up_layer"].fill_null(0).to_list())
    first = highest - max((highest - lowest) // 3, 1)
    n_below = shown.filter(pl.col("up_layer").is_null() | (pl.col("up_layer") < first)).height
    left_out = f"Layers {first} to {highest}; {plural(n_below, 'edge')} from below not shown."
    return edges.filter(pl.col("up_layer") >= first), first, left_out


def with_verdicts(edges: pl.DataFrame, validated: pl.DataFrame) -> pl.DataFrame:
    """Return the edges with a column `causal`; without it if no edge was tested.

    causal: helps, hinders, no, too few prompts, or not tested.
    validated: rows of the query `validated_edges`; those without a random control are no test. Of
    the rows of an edge, which differ by strength or by the role at its other end, the first causal
    one counts.
    """
    tested = validated.drop_nulls("random_low").with_columns(pl.col("side").cast(pl.String))
    if tested.is_empty():
        return edges
    edge = ["layer", "head", "side", "up_layer", "up_head", "role"]
    no, few = pl.lit("no"), pl.lit("too few prompts")
    causal = pl.when("helps").then(pl.lit("helps")).otherwise(pl.lit("hinders"))
    verdicts = (
        tested.sort("validated", descending=True, nulls_last=True, maintain_order=True)
        .with_columns(
            role=pl.when(side="dest").then("dest_role").otherwise("src_role"),
            causal=pl.when("validated").then(causal).when(validated=False).then(no).otherwise(few),
        )
        .unique(edge, keep="first", maintain_order=True)
    )
    return (
        edges.with_columns(pl.col("side").cast(pl.String))
        .join(verdicts.select(*edge, "causal"), on=edge, how="left", maintain_order="left")
        .with_columns(pl.col("causal").fill_null("not tested"))
    )


def with_roles(nodes: pl.DataFrame, roles: pl.DataFrame) -> pl.DataFrame:
    """Return the nodes with a column `does`: what each head mostly attends to from each role.

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
        .with_columns(text=pl.concat_str(words))
        .group_by("layer", "head")
        .agg(does=pl.struct("dest_role", "text"))
    )
    return nodes.join(does, on=["layer", "head"], how="left", maintain_order="left")


@dataclass(frozen=True)
class Split:
    """The edges of steps 2 and 3 with their rows, the strongest first."""

    all: Edges
    n_kept: int
    """The number of edges that reach the threshold."""
    shown: Edges
    weaker: Edges
    start: float
    """The lowest strength in the initial picture."""


def _split_edges(
    edges: pl.DataFrame, measure: Measure, roots: list[Node], min_count: float
) -> Split:
    order = (pl.col(name).fill_null(0) for name in measure.order)
    ranked = [(edge_of(row), row) for row in edges.sort(*order, *KEY, descending=True).to_dicts()]
    strengths = [row["strength"] for _, row in ranked]
    n_kept = sum(strength >= min_count for strength in strengths)
    n_shown = count_fitting([edge for edge, _ in ranked[:n_kept]], roots, MAX_NODES, MAX_EDGES)
    start = strengths[n_shown - 1] if 0 < n_shown < n_kept else min_count
    weaker = [(edge, row) for edge, row in ranked[n_shown:MAX_EDGES] if row["strength"] < start]
    return Split(ranked, n_kept, ranked[:n_shown], weaker, start)


def _list_levels(
    split: Split, drawn: Edges, roots: list[Node], measure: Measure
) -> list[dict[str, Any]]:
    """Describe the picture for every position of the slider, from `low` to `high`."""
    if not drawn:
        return []
    least = min(row["strength"] for _, row in drawn)
    strengths = [row["strength"] for _, row in split.all]
    values = sorted({strength for strength in strengths if strength >= least})
    levels = []
    for below, at in pairwise([least - measure.step, *values]):
        visible = [edge for edge, row in drawn if row["strength"] >= at]
        nodes = {node for edge in visible for node in (edge.up, edge.down)} | set(roots)
        n_heads = len({(node.layer, node.head) for node in nodes if node.component == "head"})
        n_all = sum(strength >= at for strength in strengths)
        of = "" if n_all == len(visible) else f" of {n_all:,}"
        edges = f"{len(visible):,}{of} edge" + ("" if n_all == 1 else "s")
        low = round(below + measure.step, DECIMALS)
        levels.append({"low": low, "high": at, "text": f"{edges}, {plural(n_heads, 'head')}"})
    return levels


def _describe_edges(split: Split, measure: Measure, min_count: float) -> str:
    """Say which edges the initial picture shows and how many it does not."""
    if not split.all:
        return "No edges: nothing upstream of the roots was significant, or no token has a role."
    n_weak, n_shown = len(split.all) - split.n_kept, len(split.shown)
    least = measure.at_least(min_count)
    if n_shown == split.n_kept:
        weak = f"{n_weak:,} weaker not shown" if n_weak else "all edges are shown"
        return f"{plural(n_shown, 'edge')} {least}; {weak}."
    return (
        f"Narrowed to the strongest {plural(n_shown, 'edge')}, for at most {MAX_NODES} nodes and "
        f"{MAX_EDGES} edges: {split.n_kept - n_shown:,} more {least} and {n_weak:,} weaker "
        "not shown."
    )


def _describe_verdicts(shown: Edges) -> str:
    verdicts = Counter(row.get("causal") for _, row in shown)
    helping, hindering, few = (verdicts[v] for v in ("helps", "hinders", "too few prompts"))
    tested = helping + hindering + verdicts["no"]
    undecided = f" {few:,} in too few prompts (dash-dotted)." if few else ""
    if not tested:
        return f"Tested by ablation:{undecided}" if undecided else ""
    return (
        f"Tested by ablation: {helping + hindering:,} of {plural(tested, 'edge')} causal, "
        f"{helping:,} for the answer and {hindering:,} against it (dotted); "
        f"dashed: tested, not causal.{undecided}"
    )


def _describe_marks(heads: dict[tuple[int, int], Row], count: str, drawn: Edges) -> str:
    known = any(row["in_reference"] for row in heads.values())
    ring = " Ringed: in the reference." if known else ""
    grey = " Grey: side unknown." if any(edge.side is None for edge, _ in drawn) else ""
    root = " Filled: root." if any(row["is_root"] for row in heads.values()) else ""
    return (
        "Columns: the token that a head writes to; a head that writes to more tokens is in each."
        f"{root}{ring} Faint: few {count}.{grey}"
    )
