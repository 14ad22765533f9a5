"""Families of prompts: planted ones come back, random traces are one family."""

from dataclasses import replace
from math import comb

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage

from svt.query.families import compute_silhouettes, cut_tree, find_families, shuffle
from svt.query.named import run
from svt.query.trace import trace
from tests.settings import TRACE
from tests.store_rows import StoreRows


def test_planted_families_come_back_the_largest_first() -> None:
    """Three blocks of prompts that share most edges; the 9 of the second block are family 1."""
    random = np.random.default_rng(1)
    blocks = np.repeat([0, 1, 2], [5, 9, 7])
    held = (random.random((3, 60)) < 0.5)[blocks] ^ (random.random((21, 60)) < 0.05)
    found = find_families(held.astype(np.float32))
    assert found.family.tolist() == np.array([3, 1, 2])[blocks].tolist()
    assert found.silhouette is not None and found.silhouette.min() > 0.3
    for family in (1, 2, 3):  # a family's prompts are neighbours in the tree
        places = sorted(found.place[found.family == family])
        assert places == list(range(places[0], places[0] + len(places)))


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_random_traces_are_one_family(seed: int) -> None:
    random = np.random.default_rng(seed)
    held = (random.random((30, 80)) < random.random(80)).astype(np.float32)
    found = find_families(held)
    assert set(found.family) == {1}
    assert found.silhouette is None
    assert sorted(found.place) == list(range(30))


@pytest.mark.parametrize("n_with", range(6))
def test_a_shuffled_edge_is_in_as_many_prompts(n_with: int) -> None:
    """In any of them with the same chance: of 5 prompts, each choice of n."""
    has_edge = np.zeros((5, 6000), np.float32)
    has_edge[:n_with] = 1
    shuffled = shuffle(has_edge, np.random.default_rng(0))
    assert shuffled.shape == has_edge.shape
    assert set(shuffled.sum(axis=0)) == {n_with}
    choices, counts = np.unique(shuffled, axis=1, return_counts=True)
    assert choices.shape[1] == comb(5, n_with)
    assert abs(counts - counts.mean()).max() < 5 * counts.mean() ** 0.5


@pytest.mark.parametrize("seed", range(6))
def test_cuts_are_those_of_scipy(seed: int) -> None:
    """With prompts that are equal, too, where a join is as high as the one below it."""
    random = np.random.default_rng(seed)
    points = random.random((30, 3))[random.integers(0, 30, 30) if seed % 2 else slice(None)]
    tree = linkage(points, method="average")
    ours = {_pairs_within(cut) for cut in cut_tree(tree, 12)}
    scipys = {_pairs_within(fcluster(tree, n, criterion="maxclust")) for n in range(2, 13)}
    assert ours == scipys


def _pairs_within(cut: np.ndarray) -> bytes:
    return np.equal.outer(cut, cut).tobytes()


def test_silhouettes_by_hand() -> None:
    """Prompt 0: inside 0.2, outside (0.8 + 0.6) / 2 = 0.7, so 0.5 / 0.7; 4 is alone."""
    distance = np.array(
        [
            [0.0, 0.2, 0.8, 0.6, 0.9],
            [0.2, 0.0, 0.7, 0.9, 0.9],
            [0.8, 0.7, 0.0, 0.1, 0.9],
            [0.6, 0.9, 0.1, 0.0, 0.9],
            [0.9, 0.9, 0.9, 0.9, 0.0],
        ]
    )
    found = compute_silhouettes(distance, np.array([1, 1, 2, 2, 3]))
    assert found[0] == pytest.approx(0.5 / 0.7)
    assert found[2] == pytest.approx((0.75 - 0.1) / 0.75)
    assert found[4] == 0


def test_two_prompts_have_no_families() -> None:
    store = StoreRows(n_layers=2, n_heads=1)
    for prompt in range(2):
        store.prompt(prompt, {"end": 3}, n_tokens=4)
        store.pair((prompt, 1, 0, 3, 2), dest={(0, 0): 1.0})
    con = store.connect()
    trace(con, replace(TRACE, roots=((1, 0),)))
    assert run(con, "prompt_families").is_empty()
