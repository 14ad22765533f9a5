"""Means and ranks of sets of tokens, by hand."""

import torch

from svt.compute.answers import TokenSets, contrast
from svt.dataset.prompt import Prompt

LOGITS = torch.tensor([[1.0, 2.0, 4.0, 8.0], [16.0, 0.0, -4.0, 2.0], [3.0, 5.0, 7.0, 9.0]])


def test_every_set_has_the_mean_and_the_best_of_its_own_row() -> None:
    sets = TokenSets([(1, 3), (2,), (0, 1, 3)], torch.device("cpu"))
    # (2 + 8) / 2; -4; (3 + 5 + 9) / 3
    torch.testing.assert_close(sets.means(LOGITS), torch.tensor([5.0, -4.0, 17 / 3]))
    assert sets.best(LOGITS).tolist() == [8.0, -4.0, 9.0]


def test_an_empty_set_has_the_mean_0_and_the_worst_of_best() -> None:
    sets = TokenSets([(), (0,)], torch.device("cpu"))
    assert sets.means(LOGITS[:2]).tolist() == [0.0, 16.0]
    assert sets.best(LOGITS[:2]).tolist() == [-torch.inf, 16.0]
    nothing = TokenSets([(), ()], torch.device("cpu"))
    assert nothing.means(LOGITS[:2]).tolist() == [0.0, 0.0]


def test_contrast_is_answers_minus_distractors_in_every_row() -> None:
    prompts = [
        Prompt(0, "", (1,), (), answer=(0, 2), distractor=(1,)),
        Prompt(1, "", (1,), (), answer=(3,), distractor=(0, 1)),
    ]
    # rows: (1 + 4) / 2 - 2, 8 - (1 + 2) / 2; (16 - 4) / 2 - 0, 2 - (16 + 0) / 2; 5 - 5, 9 - 4
    wanted = torch.tensor([[0.5, 6.5], [6.0, -6.0], [0.0, 5.0]])
    torch.testing.assert_close(contrast(LOGITS, prompts), wanted)
    torch.testing.assert_close(contrast(LOGITS[0], prompts), wanted[0])


def test_contrast_of_single_tokens_is_their_plain_difference() -> None:
    table = torch.randn(7, 50, generator=torch.Generator().manual_seed(0))
    ids = [(i, (i * 7 + 3) % 50) for i in range(20)]
    prompts = [Prompt(0, "", (1,), (), answer=(a,), distractor=(d,)) for a, d in ids]
    answers, distractors = zip(*ids, strict=True)
    plain = table[:, list(answers)] - table[:, list(distractors)]
    assert torch.equal(contrast(table, prompts), plain)
