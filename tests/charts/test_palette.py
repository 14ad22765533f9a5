"""The colours used together, as people with colour blindness see them.

1. Simulation: Viénot, Brettel and Mollon (1999) for protan and deutan, the matrix of Machado,
   Oliveira and Fernandes (2009) for tritan, on linear RGB.
2. Distance: CIE76 between Lab colours (D65); 2.3 is just noticeable.
"""

from itertools import combinations

import numpy as np
import pytest

from svt.charts.interventions import KIND_COLOURS, SCOPE_COLOURS
from svt.charts.style import BLUE, CATEGORY, GREEN, GREY, LIGHT, ORANGE, PAGE, SIDE_COLOURS, config

SEEN = {
    "normal": np.eye(3),
    "protan": np.array(
        [[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]]
    ),
    "deutan": np.array(
        [[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]]
    ),
    "tritan": np.array(
        [
            [1.255528, -0.076749, -0.178779],
            [-0.078411, 0.930809, 0.147602],
            [0.004733, 0.691367, 0.303900],
        ]
    ),
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
DARK_PAPER = "#1b1f24"


def lab(colour: str, seen: str) -> np.ndarray:
    values = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    xyz = TO_XYZ @ np.clip(SEEN[seen] @ linear, 0, 1) / TO_XYZ.sum(1)
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def distance(one: str, other: str, seen: str) -> float:
    return float(np.linalg.norm(lab(one, seen) - lab(other, seen)))


def test_simulated_red_and_green_become_similar() -> None:
    for seen in ("protan", "deutan"):
        assert distance("#ff0000", "#6f6f00", seen) < distance("#ff0000", "#6f6f00", "normal") / 2
    assert distance("#ffffff", "#000000", "tritan") == pytest.approx(100, abs=0.5)


@pytest.mark.parametrize("seen", SEEN)
@pytest.mark.parametrize(
    ("colours", "least"),
    [
        (tuple(SIDE_COLOURS.values()), 40),
        ((*KIND_COLOURS.values(), GREY), 20),
        ((*SCOPE_COLOURS.values(), GREY), 12),
        ((BLUE, ORANGE, GREEN), 12),
        (CATEGORY, 12),
    ],
)
def test_colours_used_together_stay_apart(
    colours: tuple[str, ...], least: float, seen: str
) -> None:
    pairs = {pair: distance(*pair, seen) for pair in combinations(colours, 2)}
    assert min(pairs.values()) >= least, min(pairs, key=lambda pair: pairs[pair])


@pytest.mark.parametrize("seen", SEEN)
@pytest.mark.parametrize("paper", [LIGHT.paper, DARK_PAPER])
def test_colours_contrast_with_paper(paper: str, seen: str) -> None:
    assert min(distance(colour, paper, seen) for colour in CATEGORY) >= 25


def test_the_middle_of_a_heatmap_is_the_paper() -> None:
    """Solid and near white on white; on a page, dark or light, the paper is seen through it."""
    assert distance(config(LIGHT)["range"]["diverging"][1], LIGHT.paper, "normal") < 5
    assert config(PAGE)["range"]["diverging"][1].endswith(", 0)")
