"""The singular value decomposition of every head's Omega, without ever building Omega.

1. Omega = Q~ K~^T with Q~ = [W_Q; b_Q^T] and K~ = [W_K; b_K^T], each (d + 1, r), in float64 (eq.
   2).
2. Thin QR of both: Q~ = A R and K~ = B T, so that Omega = A (R T^T) B^T with an r x r core.
3. SVD of the core, R T^T = X S Y^T; u = A X, v = B Y. Each u_k is turned so that its largest
   entry is positive (v_k turns along), which makes the stored coordinates repeatable.
4. Check: u and v are orthonormal, and u S v^T does to random vectors what Q~ K~^T does. A head
   that is off by more than `TOLERANCE` is an error, never a result.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from svt.compute.columns import Columns
from svt.compute.model import Model
from svt.errors import SvtError

TOLERANCE = 1e-5
_N_PROBES = 8


@dataclass(frozen=True)
class HeadSVD:
    """The slices of every head: Omega = sum over k of u_k sigma_k v_k^T (eq. 5), float64."""

    u: Tensor  # [layer, head, d_model + 1, r]
    v: Tensor  # [layer, head, d_model + 1, r]
    sigma: Tensor  # [layer, head, r], descending
    error: Tensor  # [layer, head], relative reconstruction error

    def singular_values(self) -> Columns:
        """The table `singular_values`, one row a (layer, head, slice)."""
        layer, head, k = (index.ravel() for index in np.indices(self.sigma.shape))
        return {
            "layer": layer.astype(np.uint8),
            "head": head.astype(np.uint8),
            "k": k.astype(np.uint16),
            "sigma": self.sigma.cpu().numpy().ravel(),
            "u_last": self.u[:, :, -1].cpu().numpy().ravel().astype(np.float32),
            "v_last": self.v[:, :, -1].cpu().numpy().ravel().astype(np.float32),
        }


def decompose(w_q: Tensor, b_q: Tensor, w_k: Tensor, b_k: Tensor) -> HeadSVD:
    """The slices of all heads.

    w_q, w_k: [layer, head, d_model, r]; b_q, b_k: [layer, head, r]. Raises SvtError naming the
    first head whose decomposition does not give Omega back.
    """
    layers = [_layer(*weights) for weights in zip(w_q, b_q, w_k, b_k, strict=True)]
    svd = HeadSVD(*(torch.stack(parts) for parts in zip(*layers, strict=True)))
    for layer, head in (~(svd.error <= TOLERANCE)).nonzero().tolist():
        raise SvtError(
            f"the decomposition of head {layer}.{head} does not give its QK matrix back: relative "
            f"error {svd.error[layer, head]:.1e}, at most {TOLERANCE:.0e} allowed; check the "
            "checkpoint for weights that are not finite"
        )
    return svd


def decompose_model(model: Model) -> HeadSVD:
    """The slices of all heads of a folded model."""
    return decompose(*(model.weight(name) for name in ("W_Q", "b_Q", "W_K", "b_K")))


def _layer(w_q: Tensor, b_q: Tensor, w_k: Tensor, b_k: Tensor) -> tuple[Tensor, ...]:
    """u, v, sigma and error of one layer's heads."""
    q = torch.cat([w_q, b_q[:, None]], dim=1).double()  # [head, d + 1, r]                      # 1
    k = torch.cat([w_k, b_k[:, None]], dim=1).double()
    if not (q.isfinite().all() and k.isfinite().all()):
        finite = q.isfinite().all((1, 2)) & k.isfinite().all((1, 2))  # [head]
        nothing = torch.full_like(q, torch.nan)
        return nothing, nothing, nothing[:, 0], torch.where(finite, 0.0, torch.nan).to(q)
    (a, r), (b, t) = torch.linalg.qr(q), torch.linalg.qr(k)  # 2
    x, sigma, y = torch.linalg.svd(r @ t.mT)  # 3
    u, v = a @ x, b @ y.mT  # [head, d + 1, r]
    largest = u.abs().argmax(dim=1, keepdim=True)
    turn = torch.where(u.gather(1, largest) < 0, -1.0, 1.0)  # [head, 1, r]
    u, v = u * turn, v * turn
    return u, v, sigma, _error(q, k, u, v, sigma)


def _error(q: Tensor, k: Tensor, u: Tensor, v: Tensor, sigma: Tensor) -> Tensor:
    """Step 4, [head]."""
    generator = torch.Generator().manual_seed(0)
    shape = (k.shape[1], _N_PROBES)
    probes = torch.randn(shape, generator=generator, dtype=k.dtype).to(k.device)
    wanted = q @ (k.mT @ probes)  # [head, d + 1, probe]
    got = u @ (sigma[..., None] * (v.mT @ probes))
    norm = torch.linalg.matrix_norm(wanted).clamp_min(torch.finfo(k.dtype).tiny)
    identity = torch.eye(u.shape[-1], dtype=u.dtype, device=u.device)
    skew = [(w.mT @ w - identity).abs().amax((1, 2)) for w in (u, v)]
    return torch.stack([torch.linalg.matrix_norm(got - wanted) / norm, *skew]).amax(0)
