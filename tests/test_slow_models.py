"""The slow models (tests/slow_models.py) are Hugging Face's own, on checkpoints that matter."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.families import CASES
from tests.hf_models import hf_logits, load_double
from tests.prompts import prompts_of
from tests.slow_models import SlowModel, SlowRun


@pytest.mark.parametrize("case", CASES)
def test_logits_are_those_of_transformers(checkpoint: Callable[[str], Path], case: str) -> None:
    """Up to a constant a token where the vocabulary is centred."""
    folder = checkpoint(case)
    slow, model = SlowModel(folder), load_double(folder)
    for prompt in prompts_of(1, n_prompts=2, lengths=(9, 14)):
        own, theirs = slow.run(prompt.tokens).logits, hf_logits(model, prompt.tokens)
        if slow.centres:
            own, theirs = (logits - logits.mean(axis=1, keepdims=True) for logits in (own, theirs))
        np.testing.assert_allclose(own, theirs, rtol=0, atol=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_parts_sum_to_the_residual_stream(checkpoint: Callable[[str], Path], case: str) -> None:
    slow, run = _run(checkpoint(case))
    for layer in range(slow.n_layers):
        below = [part for (_, up, _), part in run.written.items() if up is None or up < layer]
        np.testing.assert_allclose(sum(below), run.resid[layer], atol=1e-12)
        heads = [
            part for (kind, up, _), part in run.written.items() if up == layer and kind != "mlp"
        ]
        np.testing.assert_allclose(sum(heads), run.attended[layer], atol=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_slices_sum_to_the_score_and_read_the_residual_stream(
    checkpoint: Callable[[str], Path], case: str
) -> None:
    slow, run = _run(checkpoint(case))
    for layer in range(slow.n_layers):
        for head in range(slow.n_heads):
            of = slow.decompose(layer, head)
            np.testing.assert_allclose(of.g[0].T @ of.g[1], np.eye(slow.r), atol=1e-7)
            dest, src = 11, 8
            own = [
                slow.coordinates(of, side, layer, head, token, run)
                for side, token in ((0, dest), (1, src))
            ]
            score = run.scores[layer][head][dest, src] / slow.layers[layer].scale
            np.testing.assert_allclose(own[0] @ own[1], score, rtol=1e-7, atol=1e-9)
            for side, token in ((0, dest), (1, src)):
                at = slow.directions(of, side, layer, token)
                n = run.read_scale(side, layer, head, token) / run.scale[layer][token]
                read = np.append(run.x[layer][token], 1) @ at / n
                np.testing.assert_allclose(read, own[side], rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("case", CASES)
def test_heads_fire_and_what_is_special_shows(checkpoint: Callable[[str], Path], case: str) -> None:
    """Weights above 0.5 on sources behind the first, windows that hide, caps that bend."""
    slow, run = _run(checkpoint(case))
    weights = np.array(run.weights)
    assert (weights[..., 1:] >= 0.5).sum() >= 10
    dest, src = np.indices((12, 12))
    for layer, of in zip(weights, slow.layers, strict=True):
        hidden = dest - src >= (of.window or 12)
        assert hidden.any() == (of.window is not None)
        assert not layer[:, hidden].any()
    if slow.family == "gemma2":
        assert (np.abs(np.array(run.scores)) > 5).any()


def _run(folder: Path) -> tuple[SlowModel, SlowRun]:
    slow = SlowModel(folder)
    return slow, slow.run(prompts_of(0, n_prompts=1, lengths=(12, 12))[0].tokens)
