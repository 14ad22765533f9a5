import polars as pl
import pytest

from svt.charts.effect_vs_weight import effect_vs_weight
from svt.charts.style import BLUE, ORANGE, specification
from tests.charts.frames import rows_of, subtitle
from tests.charts.intervention_frames import drawn, effects_frame, marks


@pytest.fixture
def effects() -> pl.DataFrame:
    return effects_frame(
        [
            {"label": "a", "weight": 2.0, "effect": -1.5},
            {"label": "a", "weight": 2.0, "kind": "boost", "effect": 0.8, "beyond": False},
            {"label": "b", "weight": 0.5, "effect": -0.5},
            {"label": "b", "weight": 0.5, "scope": "local_qkv", "effect": -0.25},
            {"label": "c", "weight": None, "effect": -9.0},
        ]
    )


def correlations(rows: list[tuple]) -> pl.DataFrame:
    columns = ["scope", "kind", "control", "n_edges", "spearman", "spearman_size"]
    return pl.DataFrame(rows, schema=columns, orient="row")


CORRELATIONS = correlations(
    [
        ("global", "ablate", "signal", 2, -1.0, 1.0),
        ("global", "ablate", "random", 2, 0.25, 0.25),
        ("global", "boost", "signal", 1, None, None),
        ("local_qkv", "ablate", "signal", 2, 0.5, 0.5),
    ]
)


def test_a_scatter_a_scope(effects):
    spec = specification(effect_vs_weight(effects, CORRELATIONS))
    global_, local = spec["hconcat"]
    assert [p["title"]["text"] for p in (global_, local)] == ["global", "local: q, k and v"]
    assert spec["resolve"] == {"scale": {"y": "shared"}}
    (points,) = marks(global_, "point")
    assert [points["encoding"][c]["field"] for c in ("x", "y", "color")] == [
        "weight",
        "effect",
        "kind",
    ]
    assert points["encoding"]["color"]["scale"]["range"] == [BLUE, ORANGE]
    assert points["encoding"]["fill"]["condition"]["test"] == "datum.beyond"
    assert [(r["weight"], r["effect"]) for r in drawn(spec, global_, points)] == [
        (2.0, -1.5),
        (2.0, 0.8),
        (0.5, -0.5),
    ]
    assert subtitle(spec).startswith("2 edges;")


def test_the_correlations_of_the_signal_are_shown(effects):
    spec = specification(effect_vs_weight(effects, CORRELATIONS))
    assert [p["title"]["subtitle"] for p in spec["hconcat"]] == [
        "rank correlation: ablate −1.00, boost undefined",
        "rank correlation: ablate +0.50",
    ]


def test_weights_far_apart_get_a_logarithmic_axis(effects):
    def axis(frame):
        (points,) = marks(
            specification(effect_vs_weight(frame, CORRELATIONS))["hconcat"][0], "point"
        )
        return points["encoding"]["x"]["scale"]["type"]

    far = effects_frame([{"label": "a", "weight": 100.0}, {"label": "b", "weight": 1.0}])
    negative = effects_frame([{"label": "a", "weight": 100.0}, {"label": "b", "weight": -1.0}])
    assert [axis(frame) for frame in (effects, far, negative)] == ["linear", "log", "linear"]


def test_no_edge_is_a_message(effects):
    (row,) = rows_of(specification(effect_vs_weight(effects.clear(), CORRELATIONS)))
    assert "No edge" in row["message"]
