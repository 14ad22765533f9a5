"""Families of prompts: prompts whose traces have the same edges.

1. Take the edges of every traced prompt by place (sql/trace/families/edges.sql), at most
   `MOST_PROMPTS` prompts, drawn by a hash.
2. Measure the distance of two prompts, 1 - Jaccard: the edges in both over the edges in either.
3. Join prompts by average linkage, which gives a tree.
4. Cut the tree into the number of families, from 2 to `MOST_FAMILIES`, whose mean silhouette is
   largest: how much closer a prompt is to its own family than to the next. Below `LEAST_FIT` there
   is one family.
5. Number the families from 1, the largest first.
"""

from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import polars as pl

from svt.paths import sql_dir

MOST_PROMPTS, MOST_FAMILIES = 2048, 12
LEAST_FIT = 0.1

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Families:
    """Of each prompt its family, from 1, its place in the tree and its silhouette, if any."""

    family: Array
    place: Array
    silhouette: Array | None


def write_families(con: duckdb.DuckDBPyConnection) -> None:
    """Fill the table families of `results` from its trace; it stays empty below three prompts."""
    text = (sql_dir() / "trace" / "families" / "edges.sql").read_text(encoding="utf-8")
    edges = con.sql(text, params={"n_prompts": MOST_PROMPTS}).pl()
    prompts = edges["prompt_id"].unique().sort()
    if len(prompts) < 3:
        return
    found = find_families(_distances(edges, prompts))
    rows = pl.DataFrame(
        {
            "prompt_id": prompts,
            "family": found.family,
            "place": found.place,
            "silhouette": pl.Series(found.silhouette, dtype=pl.Float64)
            if found.silhouette is not None
            else pl.Series([None] * len(prompts), dtype=pl.Float64),
        }
    )
    con.register("families_found", rows.to_arrow())
    con.execute("INSERT INTO results.families BY NAME FROM families_found")
    con.unregister("families_found")


def _distances(edges: pl.DataFrame, prompts: pl.Series) -> Array:
    """Return step 2 as a matrix [prompt, prompt]."""
    held = np.zeros((len(prompts), int(edges["edge"].max()) + 1), np.float32)  # type: ignore[arg-type]
    held[prompts.search_sorted(edges["prompt_id"]).to_numpy(), edges["edge"].to_numpy()] = 1
    both = held @ held.T
    size = held.sum(axis=1)
    distance: Array = 1 - both / (size[:, None] + size[None, :] - both)
    np.fill_diagonal(distance, 0)
    return distance.astype(np.float64)


def find_families(distance: Array) -> Families:
    """Return steps 3 to 5 for distances [prompt, prompt] of three prompts or more."""
    from scipy.cluster.hierarchy import fcluster, leaves_list, linkage
    from scipy.spatial.distance import squareform

    tree = linkage(squareform(distance, checks=False), method="average")  # 3
    place = np.empty(len(distance), np.int64)
    place[leaves_list(tree)] = np.arange(len(distance))
    cuts = (
        fcluster(tree, n, criterion="maxclust")
        for n in range(2, min(MOST_FAMILIES, len(distance) - 1) + 1)
    )
    fits = [(cut, silhouettes(distance, cut)) for cut in cuts if len(set(cut)) > 1]
    best, fit = max(fits, key=lambda each: each[1].mean(), default=(None, np.zeros(1)))  # 4
    if best is None or fit.mean() < LEAST_FIT:
        return Families(np.ones(len(distance), np.int64), place, None)
    numbers, sizes = np.unique(best, return_counts=True)
    first = [place[best == number].min() for number in numbers]
    order = sorted(range(len(numbers)), key=lambda i: (-sizes[i], first[i]))  # 5
    new = {numbers[i]: rank for rank, i in enumerate(order, 1)}
    return Families(np.array([new[number] for number in best]), place, fit)


def silhouettes(distance: Array, family: Array) -> Array:
    """Return each prompt's silhouette; 0 for one that is a family of its own."""
    numbers = np.unique(family)
    member = (family[:, None] == numbers).astype(float)  # [prompt, family]
    size = member.sum(axis=0)
    own = family[:, None] == numbers
    total = distance @ member
    inside = total[own] / np.maximum(size[np.argmax(own, axis=1)] - 1, 1)
    outside = np.where(own, np.inf, total / size).min(axis=1)
    largest = np.maximum(inside, outside)
    alone = size[np.argmax(own, axis=1)] == 1
    found: Array = np.where(
        alone | (largest == 0), 0, (outside - inside) / np.where(largest == 0, 1, largest)
    )
    return found
