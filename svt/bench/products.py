"""Two ways to compute contributions: per token, as the dump does, and folded per pair of heads.

A contribution is (z W_O) . (U c), where z [r] is the mixed value of an upstream head at the token
and c [slice] are the coordinates of the pair in the slices of its head.

1. Per token: z W_O of every upstream head, [head, token, d_model], once for all pairs at the token;
   U c of every pair; one product of the two for each token.
2. Folded: W_O U, [r, slice], once for every pair of heads; then z (W_O U) for the token of every
   pair, and its product with c.

Per token costs r d_model for each token and head and d_model for each pair and head; folded costs
r slices for each pair and head, and the folding once. The faster way depends on the number of pairs
per token. Both run for the heads of the last layer, and must agree.
"""

import torch
from torch import Tensor

from svt.bench.rows import Row, divide, time_call
from svt.compute.decompose import HeadSVD
from svt.compute.model import Model

N_TOKENS = 512
PAIRS_A_TOKEN = (1, 4, 16, 64)


def product_rows(model: Model, svd: HeadSVD, repeats: int) -> list[Row]:
    """Return the ratios folded / per token by pairs per token, and the cost of folding."""
    rows = []
    for n in PAIRS_A_TOKEN:
        problem = _Problem(model, svd, n)
        folded = problem.fold()
        torch.testing.assert_close(
            problem.multiply_folded(folded), problem.multiply_per_token(), atol=1e-3, rtol=0
        )
        per_token = [time_call(problem.multiply_per_token) for _ in range(repeats)]
        multiplied = [time_call(problem.multiply_folded, folded) for _ in range(repeats)]
        rows.append(Row(f"{n} pairs a token: folded / per token", divide(multiplied, per_token)))
    folding = [time_call(problem.fold) for _ in range(repeats)]
    pairs_of_heads = model.n_heads**2 * model.n_layers * (model.n_layers - 1)  # on both sides
    all_heads = pairs_of_heads / (model.n_heads * len(problem.w_o))
    size = pairs_of_heads * model.d_head**2 * 4 / 1e9
    # For the heads of one layer; a run has half as many on average.
    tokens = per_token[0] / N_TOKENS
    return [
        *rows,
        Row("folding of every pair of heads, U and V", [all_heads * s for s in folding], "s"),
        Row("the folded products, in memory", [size], "GB"),
        Row("64 pairs a token: per token, a token and layer", [1e6 * tokens], "us"),
    ]


class _Problem:
    """Pairs of the last layer's heads, `pairs_a_token` at every token, and all heads below."""

    def __init__(self, model: Model, svd: HeadSVD, pairs_a_token: int) -> None:
        numbers = torch.Generator().manual_seed(0)
        last = model.n_layers - 1
        self.w_o = model.weight("W_O")[:last].flatten(0, 1)  # [head, r, d_model]
        self.u = svd.u[last, :, :-1].to(self.w_o.dtype)  # [head, d_model, slice]
        shape = (len(self.w_o), N_TOKENS, model.d_head)
        self.z = torch.randn(shape, generator=numbers, dtype=self.w_o.dtype)
        n = N_TOKENS * pairs_a_token
        self.token = torch.arange(n) // pairs_a_token  # [pair]
        self.head = torch.arange(n) % model.n_heads
        self.c = torch.randn(n, model.d_head, generator=numbers, dtype=self.w_o.dtype)

    def multiply_per_token(self) -> Tensor:
        """Return the contributions [pair, upstream head]."""
        probes = self.c.new_empty(len(self.c), self.u.shape[1])
        for head in range(len(self.u)):
            of_head = (self.head == head).nonzero()[:, 0]
            probes[of_head] = self.c[of_head] @ self.u[head].mT
        outputs = torch.bmm(self.z, self.w_o)  # [head, token, d_model]
        contributions = probes.new_empty(len(probes), len(outputs))
        n = len(probes) // N_TOKENS
        for token in range(N_TOKENS):
            rows = slice(n * token, n * (token + 1))
            torch.mm(probes[rows], outputs[:, token].mT, out=contributions[rows])
        return contributions

    def fold(self) -> Tensor:
        """Return W_O U [reading head, upstream head, r, slice]."""
        return torch.stack([self.w_o @ u for u in self.u])

    def multiply_folded(self, product: Tensor) -> Tensor:
        """Return the contributions [pair, upstream head]."""
        contributions = self.c.new_empty(len(self.c), len(self.w_o))
        for head in range(len(self.u)):
            of_head = (self.head == head).nonzero()[:, 0]
            read = torch.bmm(self.z[:, self.token[of_head]], product[head])  # [head, pair, slice]
            contributions[of_head] = (read * self.c[of_head]).sum(-1).mT
        return contributions
