"""The singular value decomposition of every head's Omega, without computing Omega itself.

1. Omega = Q~ K~^T with Q~ = [W_Q; b_Q^T] and K~ = [W_K; b_K^T], each (d + 1, r), in float64 (eq.
   2); the gains of QK-norm are folded into both. Heads that share keys share K~.
2. Thin QR of both: Q~ = A R and K~ = B T, so that Omega = A (R T^T) B^T with an r x r core.
3. SVD of the core, R T^T = X S Y^T; u = A X, v = B Y. The sign of u_k and v_k is chosen so that the
   largest entry of u_k is positive, which makes the stored coordinates reproducible.
4. G_Q = S^1/2 X^T R^-T and G_K = S^1/2 Y^T T^-T map a query and a key to their coordinates along
   the slices. G_Q Q~^T = S^1/2 u^T, so without rotation these are the paper's; and since
   G_Q^T G_K = 1, products of coordinates sum to the score after any rotation.
5. A factor of deficient rank has no inverse: its singular values are floored, in G alone.
6. Check: u and v are orthonormal, u S v^T and Q~ K~^T agree on random vectors, and G_Q^T G_K = 1.
   A head with an error above `TOLERANCE` raises ModelError.
"""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from svt.compute.columns import Columns
from svt.compute.model import Model
from svt.errors import ModelError

TOLERANCE = 1e-5
FLOOR = 1e-6  # of a factor's singular values in G, as a share of the largest
_N_PROBES = 8


@dataclass(frozen=True)
class HeadSVD:
    """The slices of every head: Omega = sum over k of u_k sigma_k v_k^T (eq. 5), float64.

    Q~ = u S^1/2 G_K and K~ = v S^1/2 G_Q, so in terms of orthonormal u and v the direction of slice
    k is u S^1/2 G_K R_i^T G_Q^T e_k at dest and v S^1/2 G_Q R_j^T G_K^T e_k at src.
    """

    u: Float[Tensor, "layer head d_model_1 r"]
    v: Float[Tensor, "layer head d_model_1 r"]
    sigma: Float[Tensor, "layer head r"]  # descending
    g_q: Float[Tensor, "layer head slice r"]  # from queries to coordinates at dest
    g_k: Float[Tensor, "layer head slice r"]  # from keys to coordinates at src
    error: Float[Tensor, "layer head"]  # relative error of reconstruction

    def singular_values(self) -> Columns:
        """Return the columns of the table `singular_values`, one row a (layer, head, slice)."""
        layer, head, k = (index.ravel() for index in np.indices(self.sigma.shape))
        return {
            "layer": layer.astype(np.uint8),
            "head": head.astype(np.uint8),
            "k": k.astype(np.uint16),
            "sigma": self.sigma.cpu().numpy().ravel(),
            "u_last": self.u[:, :, -1].cpu().numpy().ravel().astype(np.float32),
            "v_last": self.v[:, :, -1].cpu().numpy().ravel().astype(np.float32),
        }


def decompose(
    w_q: Float[Tensor, "layer head d_model r"],
    b_q: Float[Tensor, "layer head r"],
    w_k: Float[Tensor, "layer key_head d_model r"],
    b_k: Float[Tensor, "layer key_head r"],
) -> HeadSVD:
    """Return the slices of all heads.

    Consecutive heads, in groups of equal size, share a key head. Raises ModelError with the name of
    the first head that fails step 6.
    """
    layers = [_decompose_layer(*weights) for weights in zip(w_q, b_q, w_k, b_k, strict=True)]
    svd = HeadSVD(*(torch.stack(parts) for parts in zip(*layers, strict=True)))
    for layer, head in (~(svd.error <= TOLERANCE)).nonzero().tolist():
        raise ModelError(
            f"the decomposition of head {layer}.{head} does not reproduce its QK matrix: relative "
            f"error {svd.error[layer, head]:.1e}, at most {TOLERANCE:.0e} allowed; check the "
            "checkpoint for weights that are not finite"
        )
    return svd


def decompose_model(model: Model) -> HeadSVD:
    """Return the slices of all heads of a folded model."""
    return decompose(*(model.weight(name) for name in ("W_Q", "b_Q", "W_K", "b_K")))


def _decompose_layer(w_q: Tensor, b_q: Tensor, w_k: Tensor, b_k: Tensor) -> tuple[Tensor, ...]:
    """Return u, v, sigma, g_q, g_k and error of one layer's heads, of NaN if not finite."""
    q, k = (torch.cat([w, b[:, None]], 1).double() for w, b in ((w_q, b_q), (w_k, b_k)))  # 1
    group = len(q) // len(k)
    finite = q.isfinite().all((1, 2)) & k.isfinite().all((1, 2)).repeat_interleave(group)
    if not finite.all():
        nan = torch.full_like(q, torch.nan)
        core = nan[:, : q.shape[2]]
        return nan, nan, core[:, 0], core, core, torch.where(finite, 0.0, torch.nan).to(q)
    (a, r), (b, t) = torch.linalg.qr(q), torch.linalg.qr(k)  # 2
    k, b, t = (part.repeat_interleave(group, dim=0) for part in (k, b, t))
    x, sigma, yt = torch.linalg.svd(r @ t.mT)  # 3
    y = yt.mT
    u, v = a @ x, b @ y  # [head, d + 1, r]
    sign = torch.where(u.gather(1, u.abs().argmax(dim=1, keepdim=True)) < 0, -1.0, 1.0)
    u, v, x, y = (part * sign for part in (u, v, x, y))  # sign: [head, 1, r]
    g_q, g_k = _coordinate_maps(r, t, x, sigma, y)
    return u, v, sigma, g_q, g_k, _measure_error(q, k, u, v, sigma, g_q, g_k)


def _coordinate_maps(
    r: Tensor, t: Tensor, x: Tensor, sigma: Tensor, y: Tensor
) -> tuple[Tensor, Tensor]:
    """Return g_q and g_k, [head, slice, r] each (steps 4 and 5)."""
    root = sigma.sqrt()[:, None]
    g_q, g_k = (_solve(factor, part * root).mT for factor, part in ((r, x), (t, y)))
    deficient = _condition(r).minimum(_condition(t)) < FLOOR
    if deficient.any():  # 5
        r, t = _floor(r[deficient]), _floor(t[deficient])
        left, values, right = torch.linalg.svd(r @ t.mT)
        sign = torch.where((left * x[deficient]).sum(1, keepdim=True) < 0, -1.0, 1.0)
        root = values.sqrt()[:, None] * sign
        g_q[deficient] = torch.linalg.solve(r, left * root).mT
        g_k[deficient] = torch.linalg.solve(t, right.mT * root).mT
    return g_q, g_k


def _solve(triangular: Tensor, right: Tensor) -> Tensor:
    solved: Tensor = torch.linalg.solve_triangular(triangular, right, upper=True)
    return solved


def _condition(factor: Float[Tensor, "head r r"]) -> Float[Tensor, " head"]:
    """Return the smallest singular value over the largest; 0 for a factor of zeros."""
    values = torch.linalg.svdvals(factor)
    return values[:, -1] / values[:, 0].clamp_min(torch.finfo(values.dtype).tiny)


def _floor(factor: Tensor) -> Tensor:
    """Return the factors [head, r, r] with singular values of at least FLOOR times the largest."""
    p, values, w = torch.linalg.svd(factor)
    largest = values[:, :1]
    floor = torch.where(largest > 0, FLOOR * largest, 1.0)
    return (p * values.maximum(floor)[:, None]) @ w


def _identity_error(left: Tensor, right: Tensor) -> Float[Tensor, " head"]:
    """Return the largest absolute entry of left^T right - 1."""
    identity = torch.eye(left.shape[-1], dtype=left.dtype, device=left.device)
    return (left.mT @ right - identity).abs().amax((1, 2))


def _measure_error(
    q: Tensor, k: Tensor, u: Tensor, v: Tensor, sigma: Tensor, g_q: Tensor, g_k: Tensor
) -> Float[Tensor, " head"]:
    """Return the largest error of step 6."""
    generator = torch.Generator().manual_seed(0)
    shape = (k.shape[1], _N_PROBES)
    probes = torch.randn(shape, generator=generator, dtype=k.dtype).to(k.device)
    product = q @ (k.mT @ probes)  # [head, d + 1, probe]
    restored = u @ (sigma[..., None] * (v.mT @ probes))
    norm = torch.linalg.matrix_norm(product).clamp_min(torch.finfo(k.dtype).tiny)
    relative = torch.linalg.matrix_norm(restored - product) / norm
    error = torch.stack([relative, _identity_error(u, u), _identity_error(v, v)]).amax(0)
    of_maps = _identity_error(g_q, g_k)
    return torch.where(of_maps > TOLERANCE, of_maps, error)
