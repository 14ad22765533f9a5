import polars as pl

from svt.charts.contribution_vs_effect import contribution_vs_effect
from svt.charts.style import specification
from tests.charts.frames import rows_of, subtitle
from tests.charts.intervention_frames import drawn, marks


def frame(*sides: str) -> pl.DataFrame:
    """Recall is the coverage, precision half of it; a row of one head stands among them."""
    return pl.DataFrame(
        [
            {
                "side": side, "layer": layer, "head": layer, "min_effect": effect,
                "coverage": coverage, "n_pairs": 1200, "spearman": 0.25,
                "precision": coverage / 2, "recall": coverage,
            }
            for side in sides
            for layer in (None, 3)
            for effect in (0.02, 0.1)
            for coverage in (0.5, 0.7)
        ]
    )  # fmt: skip


def test_a_panel_a_side_with_lines_over_coverage() -> None:
    spec = specification(contribution_vs_effect(frame("dest", "src"), coverage=0.7))
    panels = spec["hconcat"]
    assert [panel["title"]["text"] for panel in panels] == ["written at dest", "written at src"]
    (lines,) = marks(panels[0], "line")
    fields = [lines["encoding"][c]["field"] for c in ("x", "y", "color", "strokeDash")]
    assert fields == ["coverage", "share", "min_effect", "measure"]
    assert len(drawn(spec, panels[0], lines)) == 2 * 2 * 2  # of all heads together alone
    (rule,) = (layer for layer in panels[0]["layer"] if layer["mark"]["type"] == "rule")
    assert drawn(spec, panels[0], rule) == [{"coverage": 0.7}]


def test_the_coverage_of_the_run_is_in_words() -> None:
    spec = specification(contribution_vs_effect(frame("dest"), coverage=0.7))
    assert "1,200 firing pairs" in subtitle(spec)
    assert "At dest, coverage 0.7 keeps 70% of the heads with an effect of 0.1" in subtitle(spec)
    assert "35.0% of the heads kept; rank correlation 0.25." in subtitle(spec)


def test_no_firing_pair_is_a_message() -> None:
    (row,) = rows_of(specification(contribution_vs_effect(frame("dest").clear(), coverage=0.7)))
    assert "No pair fires" in row["message"]
