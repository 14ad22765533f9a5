"""The strength and size of edges in the traced graph, by either of two measures.

1. By count (chart.edges=coverage): the strength is the number of prompts, firings or visits of the
   edge; its size is its total contribution.
2. By effect (chart.edges=effect): the size is the attention weight that its firings lose when it is
   removed, summed over the firings and divided by the number of prompts. The strength is the size
   of the weakest edge on its strongest path to a root, so that the graph is connected at every
   threshold. Edges without such a path, or whose removal does not lower the weight, are not drawn.
"""

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import inf

import polars as pl

from svt.charts.layout import Edge, Node
from svt.charts.style import Row, counted, plural
from svt.words import NO_ROLE

DECIMALS = 3  # of a strength by effect


@dataclass(frozen=True)
class Measure:
    """A measure of strength, by which edges are ordered and compared with the threshold."""

    step: float
    """The smallest difference between two strengths."""
    order: tuple[str, ...]
    """Columns that sort the edges; in descending order the strongest are first."""
    size_title: str
    """The title of the legend of widths."""
    slider: str
    """The label of the slider."""
    least_text: str
    """A Vega expression for the text on the edges from `least` on."""
    at_least: Callable[[float], str]
    """Returns the same text for a known strength."""


def by_count(count: str) -> Measure:
    """Return the measure of step 1; `count` is prompts, firings or visits."""
    noun = count.removesuffix("s")
    return Measure(
        step=1,
        order=("strength", "size"),
        size_title="total contribution",
        slider=f"edges in at least this many {count} ",
        least_text=f"'in at least ' + format(least, ',') + ' {noun}' + (least == 1 ? '' : 's')",
        at_least=lambda strength: f"in at least {counted(int(strength), count)}",
    )


BY_EFFECT = Measure(
    step=10.0**-DECIMALS,
    order=("strength", "layer", "size"),  # paths from their upper ends
    size_title="weight lost without it",
    slider="edges with an effect of at least ",
    least_text=f"'with an effect of at least ' + format(least, '.{DECIMALS}f')",
    at_least=lambda strength: f"with an effect of at least {strength:.{DECIMALS}f}",
)
"""The measure of step 2."""


def with_effects(
    edges: pl.DataFrame, roots: Sequence[Node], n_prompts: int
) -> tuple[pl.DataFrame, str]:
    """Return the edges with columns `strength` and `size` of step 2, and a sentence on the others.

    edges: rows of the query `graph_links`, unfiltered; n_prompts: of the run.
    """
    rows = edges.sort("layer", descending=True).to_dicts()
    reach: dict[Node, float] = defaultdict(float) | dict.fromkeys(roots, inf)
    for row in rows:
        edge = edge_of(row)
        row["size"] = (row["effect"] or 0.0) * row["n_firings"] / max(n_prompts, 1)
        row["strength"] = round(min(row["size"], reach[edge.down]), DECIMALS)
        reach[edge.up] = max(reach[edge.up], row["strength"])
    schema = dict(edges.schema) | {"size": pl.Float64, "strength": pl.Float64}
    ranked = pl.DataFrame(rows, schema=schema).filter(pl.col("strength") > 0)
    n_left_out = edges.height - ranked.height
    left_out = f"{plural(n_left_out, 'edge')} without effect or path to a root not shown."
    return ranked, left_out if n_left_out else ""


def edge_of(row: Row) -> Edge:
    """Return a row of `graph_links` as an edge between heads at the tokens that they write to."""
    role = row["role"] or NO_ROLE
    up = Node(
        -1 if row["up_layer"] is None else row["up_layer"],
        -1 if row["up_head"] is None else row["up_head"],
        role,
        row["component"],
    )
    down = Node(row["layer"], row["head"], row["dest_role"] or NO_ROLE)
    return Edge(up, down, row["side"], role)
