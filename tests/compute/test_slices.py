"""Coordinates along the slices, in the precision of the activations."""

import numpy as np
import pytest
import torch

from svt.compute.attention import AttentionInputs
from svt.compute.decompose import decompose
from svt.compute.forward import Activations
from svt.compute.slices import Basis, compute_coordinates


@pytest.mark.parametrize(("dtype", "close"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("side", [0, 1])
def test_coordinates_are_as_precise_as_activations(
    dtype: torch.dtype, close: float, side: int
) -> None:
    """Some (layer, head, token) asked for twice, in no order; u reads dest, v reads src."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator, dtype=dtype)

    n_layers, n_heads, d_model, r, n_tokens = 2, 3, 10, 4, 5
    w, b = (n_layers, n_heads, d_model, r), (n_layers, n_heads, r)
    w_q, b_q, w_k, b_k = weights = normal(*w), normal(*b), normal(*w), normal(*b)
    svd = decompose(*weights)
    x = [normal(n_tokens, d_model) for _ in range(n_layers)]
    one = torch.ones(n_tokens, n_heads, dtype=dtype)
    read = [
        AttentionInputs(
            torch.einsum("td,hdr->thr", x[at], w_q[at]) + b_q[at],
            torch.einsum("td,hdr->thr", x[at], w_k[at]) + b_k[at],
            one,
            one,
            one[:, 0],
            None,
        )
        for at in range(n_layers)
    ]
    acts = Activations(torch.arange(n_tokens), read, [], None, {}, x[0], x[0][:, 0])
    layer, head, token = np.array([(1, 2, 4), (0, 1, 3), (1, 2, 0), (1, 2, 4), (0, 0, 3)]).T
    basis = Basis(
        torch.stack([svd.g_q, svd.g_k]).to(dtype),
        normal(2, n_layers, n_heads, r, d_model),
        torch.stack([b_q, b_k]),
    )

    found = compute_coordinates(basis, side, acts, layer, head, token)

    assert found.dtype == {torch.float32: np.float32, torch.float64: np.float64}[dtype]
    directions = (svd.u, svd.v)[side].numpy()
    for coords, at, h, t in zip(found, layer, head, token, strict=True):
        with_one = np.append(x[at][t].double().numpy(), 1.0)  # x~
        wanted = np.sqrt(svd.sigma[at, h].numpy()) * (with_one @ directions[at, h])
        np.testing.assert_allclose(coords, wanted, rtol=close, atol=close)
