"""The decomposition against NumPy's own SVD of Omega, built whole."""

import numpy as np
import pytest
import torch

from svt.compute import decompose as module
from svt.compute.decompose import decompose
from svt.errors import SvtError

L, H, D, R = 2, 3, 11, 4


def weights(seed: int = 0) -> list[torch.Tensor]:
    """w_q, b_q, w_k, b_k."""
    generator = torch.Generator().manual_seed(seed)
    shapes = [(L, H, D, R), (L, H, R)] * 2
    return [torch.randn(shape, generator=generator) for shape in shapes]


def omega(parts: list[torch.Tensor], layer: int, head: int) -> np.ndarray:
    w_q, b_q, w_k, b_k = (part[layer, head].double().numpy() for part in parts)
    return np.vstack([w_q, b_q]) @ np.vstack([w_k, b_k]).T


def test_u_sigma_v_is_the_svd_of_omega() -> None:
    parts = weights()
    svd = decompose(*parts)
    for layer in range(L):
        for head in range(H):
            whole = omega(parts, layer, head)
            u, v = svd.u[layer, head].numpy(), svd.v[layer, head].numpy()
            sigma = svd.sigma[layer, head].numpy()
            np.testing.assert_allclose(sigma, np.linalg.svd(whole)[1][:R], rtol=1e-12)
            np.testing.assert_allclose(u * sigma @ v.T, whole, atol=1e-12)
            np.testing.assert_allclose(u.T @ u, np.eye(R), atol=1e-12)
            np.testing.assert_allclose(v.T @ v, np.eye(R), atol=1e-12)
    assert svd.error.max() < 1e-13


def test_a_head_without_full_rank_still_decomposes() -> None:
    w_q, b_q, w_k, b_k = weights()
    w_q[0, 1, :, 2:], b_q[0, 1, 2:] = 0, 0  # rank 2
    w_q[1, 0], b_q[1, 0] = 0, 0  # no Omega at all
    svd = decompose(w_q, b_q, w_k, b_k)
    assert svd.error.max() < 1e-13
    assert svd.sigma[0, 1, 2:].max() < 1e-12
    assert svd.sigma[1, 0].max() == 0


def test_signs_are_settled() -> None:
    svd = decompose(*weights())
    largest = svd.u.abs().argmax(dim=2, keepdim=True)
    assert (svd.u.gather(2, largest) > 0).all()


def test_a_head_that_does_not_come_back_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = weights()
    wrong = torch.linalg.svd

    def silently_wrong(core: torch.Tensor) -> tuple[torch.Tensor, ...]:
        x, sigma, y = wrong(core)
        sigma[2] *= 1.001
        return x, sigma, y

    monkeypatch.setattr(module.torch.linalg, "svd", silently_wrong)
    with pytest.raises(SvtError, match=r"head 0\.2 .*relative error"):
        decompose(*parts)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_weights_that_are_not_finite_are_named(value: float) -> None:
    parts = weights()
    parts[2][1, 2, 3, 1] = value
    with pytest.raises(SvtError, match=r"head 1\.2"):
        decompose(*parts)


def test_the_table_has_one_row_a_slice() -> None:
    svd = decompose(*weights())
    table = svd.singular_values()
    assert {len(column) for column in table.values()} == {L * H * R}
    at = (table["layer"] == 1) & (table["head"] == 2) & (table["k"] == 3)
    assert table["sigma"][at] == svd.sigma[1, 2, 3].item()
    np.testing.assert_allclose(table["u_last"][at], svd.u[1, 2, -1, 3].item(), rtol=1e-6)
    np.testing.assert_allclose(table["v_last"][at], svd.v[1, 2, -1, 3].item(), rtol=1e-6)
