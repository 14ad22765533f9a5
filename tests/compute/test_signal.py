"""Signal sets against their definition: leave out the largest set whose sum is at most zero."""

from itertools import combinations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from svt.compute.signal import select_signals
from tests.marks import examples

settings.register_profile("patient", deadline=None)  # a busy machine is no failure
settings.load_profile("patient")

# sums of multiples of 1/8 are exact, so that the definition can be tried out set by set
EXACT = st.integers(-80, 80).map(lambda n: n / 8)


def signal(values: list[float]) -> set[int]:
    _, in_signal = select_signals(np.array([values], float))
    return set(np.flatnonzero(in_signal[0]))


@given(st.lists(EXACT, min_size=1, max_size=9))
def test_the_noise_is_the_largest_set_that_sums_to_at_most_zero(values: list[float]) -> None:
    total = sum(values)
    turned = [-v for v in values] if total < 0 else values
    noise = [k for k in range(len(values)) if k not in signal(values)]
    assert sum(turned[k] for k in noise) <= 0
    larger = combinations(range(len(values)), len(noise) + 1)
    assert not any(sum(turned[k] for k in chosen) <= 0 for chosen in larger)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=40))
@settings(max_examples=examples(200))
def test_the_signal_has_the_total_s_sign_and_the_largest(values: list[float]) -> None:
    rank, in_signal = select_signals(np.array([values]))
    assert sorted(rank[0]) == list(range(1, len(values) + 1))
    assert (in_signal[0] == (rank[0] <= in_signal[0].sum())).all()
    chosen = np.array(values)[in_signal[0]]
    order = np.array(values)[np.argsort(rank[0])]
    small = 1e-12 * np.abs(values).sum()
    if len(chosen):
        assert (chosen > 0).all() or (chosen < 0).all()
        steps = np.diff(order) if chosen[0] < 0 else -np.diff(order)
        assert (steps >= -2 * small).all()


@given(st.lists(EXACT, min_size=2, max_size=12, unique=True), st.randoms())
def test_the_order_of_slices_changes_no_signal(values: list[float], random: object) -> None:
    order = list(range(len(values)))
    random.shuffle(order)  # type: ignore[attr-defined]
    shuffled = signal([values[k] for k in order])
    assert {order[k] for k in shuffled} == signal(values)


@given(st.lists(st.lists(EXACT, min_size=5, max_size=5), min_size=1, max_size=6))
def test_pairs_do_not_touch_one_another(rows: list[list[float]]) -> None:
    _, together = select_signals(np.array(rows))
    assert [set(np.flatnonzero(row)) for row in together] == [signal(row) for row in rows]


def test_cases_by_hand() -> None:
    assert signal([3, 1, -1, -2]) == {0}  # 3 reaches the total, 1; -1 - 2 + 1 = -2
    assert signal([1, 1, 1]) == {0, 1, 2}  # all positive: every slice
    assert signal([2, -2]) == set()  # a total of nothing has no signal
    assert signal([-3, -1, 1, 2]) == {0}  # a negative total mirrors
    assert signal([2, 2, -2]) == {0}  # ties by k
    assert signal([1, 1e-13, 1e-14]) == {0}  # the rest is rounding


def test_ranks_count_from_one_and_ties_go_by_slice() -> None:
    rank, _ = select_signals(np.array([[1.0, 5.0, 1.0, -2.0]]))
    assert rank.tolist() == [[2, 1, 3, 4]]
