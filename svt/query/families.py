"""Families of prompts: prompts whose traces have the same edges.

1. Take the edges of every traced prompt by place (sql/trace/families/edges.sql), at most
   `MOST_PROMPTS` prompts, drawn by a hash.
2. Measure the distance of two prompts, 1 - Jaccard: the edges in both over the edges in either.
3. Join prompts by average linkage, which gives a tree.
4. Cut the tree into the number of families, from 2 to `MOST_FAMILIES`, whose mean silhouette is
   largest. A prompt's silhouette measures how much closer it is to its own family than to the next.
   There is only one family unless the mean silhouette exceeds that of each of `SHUFFLES` shuffled
   tables, in which every edge occurs in as many prompts as before, drawn at random. Chance alone
   then yields families in 1 of 20 runs.
5. Number the families from 1, the largest first.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
import polars as pl

from svt.db.catalog import insert_rows
from svt.paths import read_sql
from svt.query.exact import fetch_frame

MOST_PROMPTS, MOST_FAMILIES = 512, 12
SHUFFLES, SEED = 19, 0

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Families:
    """[prompt] family from 1, place in the tree and silhouette; None for a single family."""

    family: Array
    place: Array
    silhouette: Array | None


def write_families(con: duckdb.DuckDBPyConnection) -> None:
    """Fill the table families of `results` from its trace; it stays empty below three prompts."""
    edges = fetch_frame(con, read_sql("trace/families/edges"), {"n_prompts": MOST_PROMPTS})
    prompts = edges["prompt_id"].unique().sort()
    if len(prompts) < 3:
        return
    has_edge = np.zeros((len(prompts), edges["edge"].n_unique()), np.float32)
    has_edge[prompts.search_sorted(edges["prompt_id"]).to_numpy(), edges["edge"].to_numpy()] = 1
    families = find_families(has_edge)
    silhouette = [None] * len(prompts) if families.silhouette is None else families.silhouette
    rows = {
        "prompt_id": prompts,
        "family": families.family,
        "place": families.place,
        "silhouette": pl.Series(silhouette, dtype=pl.Float64),
    }
    insert_rows(con, "results.families", pl.DataFrame(rows))


def find_families(has_edge: Array) -> Families:
    """Return the families of at least three prompts from a [prompt, edge] table of 0 and 1."""
    from scipy.cluster.hierarchy import leaves_list

    tree, best, fit = _find_best_cut(has_edge)
    place = np.empty(len(has_edge), np.int64)
    place[leaves_list(tree)] = np.arange(len(has_edge))
    random = np.random.default_rng(SEED)
    shuffled = (shuffle(has_edge, random) for _ in range(SHUFFLES))
    if any(fit.mean() <= _find_best_cut(table)[2].mean() for table in shuffled):
        return Families(np.ones(len(has_edge), np.int64), place, None)
    numbers, sizes = np.unique(best, return_counts=True)
    first = [place[best == number].min() for number in numbers]
    order = sorted(range(len(numbers)), key=lambda i: (-sizes[i], first[i]))  # 5
    new = {numbers[i]: rank for rank, i in enumerate(order, 1)}
    return Families(np.array([new[number] for number in best]), place, fit)


def shuffle(has_edge: Array, random: np.random.Generator) -> Array:
    """Return a [prompt, edge] table with every edge in as many prompts as before (step 4).

    Prompts are drawn until they differ; for an edge in most prompts, those without it are drawn.
    """
    n_prompts, n_edges = has_edge.shape
    n_with = has_edge.sum(axis=0).astype(np.int64)
    common = 2 * n_with > n_prompts
    target = np.where(common, n_prompts - n_with, n_with)
    drawn = np.zeros((n_edges, n_prompts), bool)
    edges, lacking = np.arange(n_edges), target
    while len(edges):
        rows = np.repeat(edges, lacking)
        drawn[rows, random.integers(n_prompts, size=len(rows))] = True
        lacking = target[edges] - np.count_nonzero(drawn[edges], axis=1)
        edges, lacking = edges[lacking > 0], lacking[lacking > 0]
    return (drawn ^ common[:, None]).T.astype(has_edge.dtype)


def _find_best_cut(has_edge: Array) -> tuple[Array, Array, Array]:
    """Return the tree (step 3) and each prompt's family and silhouette at its best cut (step 4)."""
    from scipy.cluster.hierarchy import linkage
    from scipy.spatial.distance import squareform

    distance = _measure_distances(has_edge)
    tree = linkage(squareform(distance, checks=False), method="average")
    cuts = cut_tree(tree, min(MOST_FAMILIES, len(has_edge) - 1))
    fits = [compute_silhouettes(distance, cut) for cut in cuts]
    best = max(range(len(cuts)), key=lambda i: fits[i].mean())
    return tree, cuts[best], fits[best]


def cut_tree(tree: Array, most: int) -> list[Array]:
    """Return each prompt's family for 2 to `most` families; numbers of families may be left out.

    Joins of equal height are not cut apart, as by scipy's fcluster, which takes ten times as long.
    """
    n_prompts = len(tree) + 1
    families = {prompt: [prompt] for prompt in range(n_prompts)}
    cuts, below = [], 0.0
    for i, (left, right, height, _) in enumerate(tree.tolist()):
        if n_prompts - i <= most and height > below:
            cuts.append(_number_prompts(families, n_prompts))
        families[n_prompts + i] = families.pop(int(left)) + families.pop(int(right))
        below = height
    return cuts[::-1] or [_number_prompts(families, n_prompts)]


def _number_prompts(families: Mapping[int, list[int]], n_prompts: int) -> Array:
    """Return the [prompt] number of its family."""
    family = np.empty(n_prompts, np.int64)
    for number, prompts in families.items():
        family[prompts] = number
    return family


def _measure_distances(has_edge: Array) -> Array:
    """Return the [prompt, prompt] distances, 1 - Jaccard (step 2)."""
    both = has_edge @ has_edge.T
    size = has_edge.sum(axis=1)
    either = size[:, None] + size[None, :] - both
    distance: Array = 1 - both / np.maximum(either, 1)
    np.fill_diagonal(distance, 0)
    return distance.astype(np.float64)


def compute_silhouettes(distance: Array, family: Array) -> Array:
    """Return the [prompt] silhouettes; 0 in a family of one prompt, or with a single family."""
    numbers = np.unique(family)
    if len(numbers) == 1:
        return np.zeros(len(family))
    own = family[:, None] == numbers  # [prompt, family]
    size = own.sum(axis=0)
    total = distance @ own.astype(float)
    inside = total[own] / np.maximum(size[np.argmax(own, axis=1)] - 1, 1)
    outside = np.where(own, np.inf, total / size).min(axis=1)
    largest = np.maximum(inside, outside)
    alone = size[np.argmax(own, axis=1)] == 1
    difference = (outside - inside) / np.where(largest == 0, 1, largest)
    return np.where(alone | (largest == 0), 0, difference)
