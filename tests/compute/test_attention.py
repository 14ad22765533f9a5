"""Rotations as the matrices that they are, and what heads read."""

import torch

from svt.compute.attention import Rotation
from svt.compute.scoring import Scoring

R, WIDTH, N = 8, 6, 5


def rotation() -> Rotation:
    """Rotary positions on the first six of eight dimensions."""
    angle = torch.arange(N)[:, None] * torch.tensor([1.0, 0.3, 0.05], dtype=torch.float64)
    both = torch.cat([angle, angle], dim=1)
    return Rotation(both.cos(), both.sin())


def matrix(position: int) -> torch.Tensor:
    """R_p built entry by entry: dimensions i and i + 3 are turned by the i-th angle."""
    whole = torch.eye(R, dtype=torch.float64)
    for i, frequency in enumerate((1.0, 0.3, 0.05)):
        angle = torch.tensor(position * frequency, dtype=torch.float64)
        j = i + WIDTH // 2
        whole[i, i], whole[i, j] = angle.cos(), -angle.sin()
        whole[j, i], whole[j, j] = angle.sin(), angle.cos()
    return whole


def test_a_rotation_is_its_matrix_and_its_transpose() -> None:
    vectors = torch.randn(N, 2, R, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    position = torch.tensor([4, 0, 2, 2, 1])
    turned = rotation().apply(vectors, position[:, None])
    back = rotation().transpose(vectors, position[:, None])
    for i, p in enumerate(position.tolist()):
        torch.testing.assert_close(turned[i], vectors[i] @ matrix(p).T)
        torch.testing.assert_close(back[i], vectors[i] @ matrix(p))


def test_only_the_distance_counts_in_a_rotated_product() -> None:
    q, k = torch.randn(2, 1, R, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def product(dest: int, src: int) -> float:
        at = [torch.tensor([p]) for p in (dest, src)]
        return float((rotation().apply(q, at[0]) * rotation().apply(k, at[1])).sum())

    assert abs(product(4, 1) - product(3, 0)) < 1e-12
    assert abs(product(4, 1) - product(4, 2)) > 1e-3


def test_a_soft_cap_bounds_scores_and_none_leaves_them() -> None:
    scores = torch.tensor([-100.0, 0.0, 1.0, 100.0])
    capped = Scoring(1.0, 5.0, None, None, None).apply_cap(scores)
    torch.testing.assert_close(capped, 5 * torch.tanh(scores / 5))
    assert capped.abs().max() <= 5
    assert Scoring(1.0, None, None, None, None).apply_cap(scores) is scores
