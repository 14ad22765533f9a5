"""How strong an edge of the traced graph is, by either of two measures, and their words.

1. By count (chart.edges=coverage): an edge is as strong as the number of prompts, firings or visits
   it has; its width is its total contribution.
2. By effect (chart.edges=effect): its width is the attention weight that leaving it out takes from
   its firings, summed over them and divided by the number of prompts. It is as strong as the
   weakest edge on its strongest way to a root, so that at every threshold what is drawn hangs
   together. An edge without such a way, or whose removal does not lower the weight, is not drawn.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any, ClassVar, Protocol

import polars as pl

from svt.charts.layout import Edge, Node
from svt.charts.style import counted, plural
from svt.words import NO_ROLE

Row = dict[str, Any]

DECIMALS = 3  # of a strength by effect


class Measure(Protocol):
    """What edges are ordered by, and thresholds held against."""

    @property
    def step(self) -> float:
        """The smallest difference between two strengths."""

    @property
    def order(self) -> tuple[str, ...]:
        """Columns of the edges, by which the strongest come first when they fall."""

    @property
    def size_title(self) -> str:
        """What widths are."""

    @property
    def slider(self) -> str:
        """What the slider moves."""

    @property
    def least_told(self) -> str:
        """A Vega expression: the words for what is shown from `least` on."""

    def at_least(self, strength: float) -> str:
        """The same words for a strength that is known."""


@dataclass(frozen=True)
class ByCount:
    """Step 1; `count` is prompts, firings or visits."""

    count: str
    step: ClassVar[float] = 1
    order: ClassVar[tuple[str, ...]] = ("strength", "size")
    size_title: ClassVar[str] = "total contribution"

    @property
    def slider(self) -> str:
        return f"edges in at least so many {self.count} "

    @property
    def least_told(self) -> str:
        noun = self.count.removesuffix("s")
        return f"'in at least ' + format(least, ',') + ' {noun}' + (least == 1 ? '' : 's')"

    def at_least(self, strength: float) -> str:
        return f"in at least {counted(int(strength), self.count)}"


@dataclass(frozen=True)
class ByEffect:
    """Step 2."""

    step: ClassVar[float] = 10.0**-DECIMALS
    order: ClassVar[tuple[str, ...]] = ("strength", "layer", "size")  # ways from their upper ends
    size_title: ClassVar[str] = "weight lost without it"
    slider: ClassVar[str] = "edges with an effect of at least "
    least_told: ClassVar[str] = f"'with an effect of at least ' + format(least, '.{DECIMALS}f')"

    def at_least(self, strength: float) -> str:
        return f"with an effect of at least {strength:.{DECIMALS}f}"


def with_counts(edges: pl.DataFrame, count: str) -> pl.DataFrame:
    """The edges with columns `strength` and `size` of step 1."""
    return edges.with_columns(strength=pl.col(f"n_{count}"), size=pl.col("total").abs())


def with_effects(
    edges: pl.DataFrame, roots: Sequence[Node], n_prompts: int
) -> tuple[pl.DataFrame, str]:
    """The edges with columns `strength` and `size` of step 2, and a sentence on those left out.

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
    left = edges.height - ranked.height
    told = f"{plural(left, 'edge')} without effect, or without a way to a root, not shown."
    return ranked, told if left else ""


def edge_of(row: Row) -> Edge:
    """A row of `graph_links` as an edge between heads at the tokens that they write to."""
    role = row["role"] or NO_ROLE
    up = Node(
        -1 if row["up_layer"] is None else row["up_layer"],
        -1 if row["up_head"] is None else row["up_head"],
        role,
        row["component"],
    )
    down = Node(row["layer"], row["head"], row["dest_role"] or NO_ROLE)
    return Edge(up, down, row["side"], role)
