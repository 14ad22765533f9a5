"""dump.score=contrast: what a score leads the other sources of its row by.

Every pair is held against the slow definition in test_against_slow.py and
test_families_against_slow.py; here are identities, and rows whose softmax underflows.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from svt.compute.attention import AttentionInputs
from svt.compute.columns import Columns
from svt.compute.contrast import average_other_sources
from svt.compute.forward import Activations
from svt.compute.pairs import Pairs
from svt.compute.scoring import Scoring
from svt.words import COMPONENTS
from tests.compute.runs import dumped, loaded
from tests.families import CASES, tiny_model
from tests.marks import first
from tests.prompts import prompts_of
from tests.settings import DUMP

EVERY = replace(
    DUMP, min_weight=0.0, sample=0.0, pairs="all", components=COMPONENTS, all_slices=True
)
# biases; rotation, window and cap; window alone; rotation alone; QK-norm
SOME = first(2, ("gpt2", "gemma2", "mistral", "llama", "olmo2"))


@pytest.fixture(scope="module", params=SOME)
def dumps(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, dict[str, Columns], dict[str, Columns], NDArray[np.float64]]:
    """Raw and contrasted, every pair; of every pair what its layer scales scores by."""
    family, changes = CASES[request.param]
    model = loaded(tiny_model(family, tmp_path_factory.mktemp("m"), **changes), "float64")
    prompts = prompts_of(4, n_prompts=1, lengths=(9, 9))
    raw, contrast = (dumped(model, prompts, replace(EVERY, score=s)) for s in ("raw", "contrast"))
    scale = np.array([scoring.scale for scoring in model.scoring])[raw["pairs"]["layer"]]
    assert (model.scoring[0].cap is not None) == (family == "gemma2")
    return family, raw, contrast, scale


def leads(pairs: Columns, log_odds: bool) -> NDArray[np.float64]:
    """Of every pair score - sum A' / (1 - A) score', or the slope of log(A / (1 - A)), which its
    scores have when all of the row are multiplied by the same number, at 1.
    """
    found = np.zeros(len(pairs["pair_id"]))
    row = np.stack([pairs[name].astype(int) for name in ("prompt_id", "layer", "head", "dest")])
    for of_row in np.unique(row, axis=1).T:
        entries = np.flatnonzero((row == of_row[:, None]).all(axis=0))
        score, weight = (pairs[name][entries].astype(float) for name in ("score", "weight"))
        for i, entry in enumerate(entries):
            other = np.arange(len(entries)) != i
            if not other.any():
                found[entry] = score[i]
            elif log_odds:
                ends = [
                    s * score[i] - np.logaddexp.reduce(s * score[other]) for s in (1.001, 0.999)
                ]
                found[entry] = (ends[0] - ends[1]) / 0.002
            else:
                found[entry] = score[i] - weight[other] @ score[other] / weight[other].sum()
    return found


def test_slices_sum_to_the_lead(
    dumps: tuple[str, dict[str, Columns], dict[str, Columns], NDArray[np.float64]],
) -> None:
    family, raw, contrast, scale = dumps
    pairs = contrast["pairs"]
    total = np.add.reduceat(
        contrast["slices"]["contribution"].astype(float),
        np.arange(0, len(contrast["slices"]["k"]), len(contrast["slices"]["k"]) // len(scale)),
    )
    size = 1 + np.abs(pairs["score"]).max()
    np.testing.assert_allclose(total, pairs["omega_score"], atol=1e-6 * size)
    np.testing.assert_allclose(scale * total, leads(raw["pairs"], False), atol=1e-4 * size)
    if family != "gemma2":  # a cap bends the scores
        np.testing.assert_allclose(scale * total, leads(raw["pairs"], True), atol=1e-4 * size)
    assert (np.abs(pairs["residual"]) < 1e-5 * size).all()
    assert (np.abs(scale * total - pairs["score"]) > 0.1).mean() > 0.5  # no lead is the score


def test_a_token_that_attends_to_itself_alone_is_raw(
    dumps: tuple[str, dict[str, Columns], dict[str, Columns], NDArray[np.float64]],
) -> None:
    _, raw, contrast, _ = dumps
    alone = raw["pairs"]["dest"] == 0
    assert alone.any()
    for table in (raw, contrast):
        assert (table["pairs"]["weight"][alone] == 1).all()
    own, theirs = (table["pairs"]["omega_score"] for table in (raw, contrast))
    assert (own[alone] == theirs[alone]).all() and (own != theirs).any()


def test_everything_but_the_signal_stays(
    dumps: tuple[str, dict[str, Columns], dict[str, Columns], NDArray[np.float64]],
) -> None:
    """Scores, effects, and what is contributed through all slices; and the closure still holds."""
    _, raw, contrast, _ = dumps
    same = {
        "pairs": ("pair_id", "weight", "score", "eligible", "dest_scale", "dest_offset_all"),
        "slices": ("dest_coord",),
        "upstream": ("weight_without", "contribution_all"),
        "sides": ("total_all",),
    }
    for table, columns in same.items():
        for column in columns:
            assert (raw[table][column] == contrast[table][column]).all(), column
    assert (raw["pairs"]["n_slices"] != contrast["pairs"]["n_slices"]).any()
    size = np.abs(contrast["upstream"]["contribution"]).max()
    assert (np.abs(contrast["sides"]["closure"]) < 1e-5 * (1 + size)).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_others_of_a_row_with_nearly_all_weight_on_one_source(dtype: torch.dtype) -> None:
    """One head of two slices, q = (1, 0), G_K = [[2, 0], [0, 1]]; keys at 0 to 3 are (0, 4),
    (0, 8), (1000, 5) and (3, 7). From 3 the weights are exp of 0, 0, 1000 and 3.

    Without 2 these are 1, 1 and e^3 over their sum; without 3, 2 has all; a window of 1 leaves 3
    nothing, and one of 2 leaves 2 alone.
    """
    keys = torch.tensor([[0, 4], [0, 8], [1000, 5], [3, 7]], dtype=dtype)[:, None]
    queries = torch.tensor([[1.0, 0.0]], dtype=dtype).expand(4, 1, 2)
    one = torch.ones(4, 1, dtype=dtype)
    reads = AttentionInputs(queries, keys, one, one, one[:, 0], None)
    acts = Activations(torch.arange(4), [reads], [], None, {}, one, one[:, 0])
    n = 2
    src, dest, zero = np.array([2, 3]), np.full(n, 3), np.zeros(n, np.int64)
    empty = np.zeros(n, np.float32)
    flags = np.zeros(n, np.bool_)
    pairs = Pairs(np.arange(n), zero, zero, zero, dest, src, empty, empty, flags, flags)
    token = np.stack([dest, src], axis=1)
    g_k = torch.tensor([[[[2.0, 0.0], [0.0, 1.0]]]], dtype=dtype)

    def found(window: int | None) -> tuple[list[list[float]], list[float]]:
        coord, score = average_other_sources(
            g_k, acts, pairs, token, [Scoring(1.0, None, window, None, None)]
        )
        return coord.tolist(), score.tolist()

    e = np.exp(3.0)
    without_2 = [2 * 3 * e / (2 + e), (4 + 8 + 7 * e) / (2 + e)]
    coord, score = found(None)
    assert coord[0] == pytest.approx(without_2, rel=1e-6)
    assert coord[1] == [2000.0, 5.0]
    assert score == pytest.approx([3 * e / (2 + e), 1000.0], rel=1e-6)
    assert found(2) == ([[6.0, 7.0], [2000.0, 5.0]], [3.0, 1000.0])
    coord, score = found(1)
    assert (coord[1], score[1]) == ([0.0, 0.0], 0.0)
