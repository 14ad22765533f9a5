"""Which tokens are of one class, on prompts small enough to count by hand."""

import numpy as np
import pytest

from svt.compute.token_classes import TokenClasses, classify_tokens
from svt.dataset.prompt import Prompt

ROLES = {"IO": 1, "S1": 2, "end": 3}
SWAPPED = {"IO": 2, "S1": 1, "end": 3}


def of(*prompts: tuple[int, str | None, dict[str, int]]) -> TokenClasses:
    """Prompts given by number of tokens, template and roles."""
    made = [
        Prompt(i, "", (0,) * n, (), roles, template=template)
        for i, (n, template, roles) in enumerate(prompts)
    ]
    return classify_tokens(made, np.array([n for n, *_ in prompts]))


def groups(classes: TokenClasses) -> set[tuple[int, ...]]:
    """Which tokens got the same class."""
    chosen = classes.chosen
    return {tuple(np.flatnonzero(chosen == number).tolist()) for number in np.unique(chosen)}


def test_a_template_makes_the_same_prompts_for_any_order() -> None:
    like = of((4, "a", ROLES), (4, "b", ROLES), (4, "a", SWAPPED), (4, "b", ROLES))
    assert groups(like) == {(i, i + 8) for i in range(8)}


def test_length_keeps_prompts_of_a_template_apart() -> None:
    like = of((4, "a", {"end": 3}), (3, "a", {"end": 2}), (4, "a", {"end": 3}))
    assert {(0, 7), (1, 8), (2, 9), (3, 10)} < groups(like)


def test_without_a_template_the_places_of_the_roles_decide() -> None:
    like = of((4, None, ROLES), (4, None, SWAPPED), (4, None, ROLES))
    assert {(0, 8), (1, 9), (2, 10), (3, 11)} < groups(like)


def test_a_prompt_like_no_other_goes_by_roles_then_tokens() -> None:
    """Prompt 2: its first token is like all without a role, x like none, its end like the ends."""
    like = of((2, None, {"end": 1}), (2, None, {"end": 1}), (3, None, {"x": 1, "end": 2}))
    chosen, steps = like.chosen, like.steps
    assert groups(like) == {(0, 2), (1, 3), (4,), (5,), (6,)}
    assert np.flatnonzero(steps[1] == chosen[4]).tolist() == [0, 2, 4]
    assert np.flatnonzero(steps[2] == chosen[5]).tolist() == list(range(7))
    assert np.flatnonzero(steps[1] == chosen[6]).tolist() == [1, 3, 6]
    by_step = [set(np.unique(classes)) for classes in steps]
    assert [len(classes) for classes in by_step] == [5, 3, 1]
    assert set.union(*by_step) == set(range(like.n_classes)) == set(range(9))


@pytest.mark.parametrize("seed", range(5))
def test_replacements_are_those_of_one_other_equal_prompt(seed: int) -> None:
    like = of(*[(4, "ab"[i % 2], ROLES) for i in range(12)])
    prompt = np.repeat(np.arange(12), 4)
    others = like.draw_others(prompt, seed).reshape(12, 4)
    donors = others // 4
    assert (donors == donors[:, :1]).all()
    assert (others % 4 == np.arange(4)).all()
    assert (donors[:, 0] % 2 == np.arange(12) % 2).all()
    assert sorted(donors[:, 0]) == list(range(12))
    assert (donors[:, 0] != np.arange(12)).all()


def test_the_seed_decides_the_others() -> None:
    like = of(*[(4, "a", ROLES)] * 12)
    prompt = np.repeat(np.arange(12), 4)
    drawn = [like.draw_others(prompt, seed).tolist() for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_a_lone_prompt_takes_from_tokens_of_the_same_role() -> None:
    like = of((2, None, {"end": 1}), (2, None, {"end": 1}), (3, None, {"x": 1, "end": 2}))
    others = like.draw_others(np.array([0, 0, 1, 1, 2, 2, 2]), 0).tolist()
    assert others[:4] == [2, 3, 0, 1]
    assert others[4] in (0, 2) and others[5] != 5 and others[6] in (1, 3)
