"""Families of prompts: prompts whose traces have the same edges.

1. Take the edges of every traced prompt by place (sql/trace/families/edges.sql), at most
   `MOST_PROMPTS` prompts, drawn by a hash.
2. Measure the distance of two prompts, 1 - Jaccard: the edges in both over the edges in either.
3. Join prompts by average linkage, which gives a tree.
4. Cut the tree into the number of families, from 2 to `MOST_FAMILIES`, whose mean silhouette is
   largest: how much closer a prompt is to its own family than to the next. There is one family
   unless that is more than in each of `SHUFFLES` shuffled tables, in which every edge is in as many
   prompts as before, drawn at random: families that chance makes are seen once in 20 runs.
5. Number the families from 1, the largest first.
"""

from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import polars as pl

from svt.paths import sql_dir
from svt.query.exact import frame_of

MOST_PROMPTS, MOST_FAMILIES = 512, 12
SHUFFLES, SEED = 19, 0

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
    edges = frame_of(con, text, {"n_prompts": MOST_PROMPTS})
    prompts = edges["prompt_id"].unique().sort()
    if len(prompts) < 3:
        return
    held = np.zeros((len(prompts), edges["edge"].n_unique()), np.float32)
    held[prompts.search_sorted(edges["prompt_id"]).to_numpy(), edges["edge"].to_numpy()] = 1
    found = find_families(held)
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


def find_families(held: Array) -> Families:
    """Return steps 2 to 5 for a table [prompt, edge] of 0 and 1, of three prompts or more."""
    from scipy.cluster.hierarchy import leaves_list

    tree, best, fit = _best_cut(held)
    place = np.empty(len(held), np.int64)
    place[leaves_list(tree)] = np.arange(len(held))
    random = np.random.default_rng(SEED)
    chance = max(_best_cut(random.permuted(held, axis=0))[2].mean() for _ in range(SHUFFLES))
    if fit.mean() <= chance:
        return Families(np.ones(len(held), np.int64), place, None)
    numbers, sizes = np.unique(best, return_counts=True)
    first = [place[best == number].min() for number in numbers]
    order = sorted(range(len(numbers)), key=lambda i: (-sizes[i], first[i]))  # 5
    new = {numbers[i]: rank for rank, i in enumerate(order, 1)}
    return Families(np.array([new[number] for number in best]), place, fit)


def _best_cut(held: Array) -> tuple[Array, Array, Array]:
    """Return the tree (step 3), the family of each prompt at its best cut, and its silhouette."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    distance = _distances(held)
    tree = linkage(squareform(distance, checks=False), method="average")
    most = min(MOST_FAMILIES, len(held) - 1)
    cuts = [fcluster(tree, n, criterion="maxclust") for n in range(2, most + 1)]
    fits = [silhouettes(distance, cut) for cut in cuts]
    best = max(range(len(cuts)), key=lambda i: fits[i].mean())
    return tree, cuts[best], fits[best]


def _distances(held: Array) -> Array:
    """Return step 2 as a matrix [prompt, prompt]."""
    both = held @ held.T
    size = held.sum(axis=1)
    either = size[:, None] + size[None, :] - both
    distance: Array = 1 - both / np.maximum(either, 1)
    np.fill_diagonal(distance, 0)
    return distance.astype(np.float64)


def silhouettes(distance: Array, family: Array) -> Array:
    """Return each prompt's silhouette; 0 for one that is a family of its own, or if all are one."""
    numbers = np.unique(family)
    if len(numbers) == 1:
        return np.zeros(len(family))
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
