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


def test_maps_give_coordinates_of_queries_and_keys() -> None:
    """G_Q q is sqrt(sigma) u . x~ and G_K k is sqrt(sigma) v . x~; both keep the score."""
    w_q, b_q, w_k, b_k = weights()
    svd = decompose(w_q, b_q, w_k, b_k)
    generator = torch.Generator().manual_seed(1)
    x, other = torch.randn(2, D, generator=generator, dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(R, R, generator=generator, dtype=torch.float64))[0]
    for layer, head in np.ndindex(L, H):
        q = x @ w_q[layer, head].double() + b_q[layer, head]
        k = other @ w_k[layer, head].double() + b_k[layer, head]
        g_q, g_k = svd.g_q[layer, head], svd.g_k[layer, head]
        root = svd.sigma[layer, head].sqrt()
        u, v = svd.u[layer, head], svd.v[layer, head]
        torch.testing.assert_close(g_q @ q, root * (x @ u[:-1] + u[-1]), atol=1e-10, rtol=1e-10)
        torch.testing.assert_close(g_k @ k, root * (other @ v[:-1] + v[-1]), atol=1e-10, rtol=1e-10)
        torch.testing.assert_close((g_q @ turn @ q) @ (g_k @ k), (turn @ q) @ k)  # rotated too


def test_heads_that_share_keys_are_decomposed_with_them() -> None:
    w_q, b_q, w_k, b_k = weights()
    shared = decompose(w_q, b_q, w_k[:, :1], b_k[:, :1])
    whole = decompose(w_q, b_q, w_k[:, :1].expand(L, H, D, R), b_k[:, :1].expand(L, H, R))
    for name in ("u", "v", "sigma", "g_q", "g_k"):
        assert torch.equal(getattr(shared, name), getattr(whole, name)), name


@pytest.mark.parametrize("side", ["q", "k", "both"])
def test_scores_of_a_deficient_head_are_kept(side: str) -> None:
    """Slices of a factor without full rank: finite maps that keep any score, rotated or not."""
    w_q, b_q, w_k, b_k = weights()
    if side != "k":
        w_q[0, 1, :, 2:], b_q[0, 1, 2:] = 0, 0
    if side != "q":
        w_k[0, 1, :, 1:], b_k[0, 1, 1:] = 0, 0
    svd = decompose(w_q, b_q, w_k, b_k)
    g_q, g_k = svd.g_q[0, 1], svd.g_k[0, 1]
    generator = torch.Generator().manual_seed(1)
    q, k = torch.randn(2, R, generator=generator, dtype=torch.float64)
    assert g_q.isfinite().all() and g_k.isfinite().all()
    torch.testing.assert_close((g_q @ q) @ (g_k @ k), q @ k)
    x = torch.randn(D, generator=generator, dtype=torch.float64)
    read = x @ w_q[0, 1].double() + b_q[0, 1].double()
    u, root = svd.u[0, 1], svd.sigma[0, 1].sqrt()
    leading = svd.sigma[0, 1] > 1e-6
    wanted = (root * (x @ u[:-1] + u[-1]))[leading]
    torch.testing.assert_close((g_q @ read)[leading], wanted, atol=1e-5, rtol=1e-5)


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
