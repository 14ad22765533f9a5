import polars as pl
import pytest

from svt.charts.set_effects import MOST_SETS, OTHER, set_effects
from svt.charts.style import BLUE, GREEN, ORANGE, specification
from tests.charts.frames import rows_of, subtitle
from tests.charts.intervention_frames import drawn, marks

COLUMNS = {
    "label": pl.String,
    "arrangement": pl.String,
    "scope": pl.String,
    "kind": pl.String,
    "n_edges": pl.Int64,
    "n_prompts": pl.Int64,
    "effect": pl.Float64,
    "effect_low": pl.Float64,
    "effect_high": pl.Float64,
    "sum_of_members": pl.Float64,
    "ratio": pl.Float64,
}


def sets_frame(rows: list[tuple]) -> pl.DataFrame:
    """(label, arrangement, scope, kind, effect, sum of members) with 3 edges and 9 prompts."""
    full = [
        (label, arrangement, scope, kind, 3, 9, effect, effect - 0.1, effect + 0.1, added, None)
        for label, arrangement, scope, kind, effect, added in rows
    ]
    return pl.DataFrame(full, schema=COLUMNS, orient="row")


@pytest.fixture
def sets() -> pl.DataFrame:
    return sets_frame(
        [
            ("parallel: into 4.1 dest S2", "parallel", "global", "ablate", -0.5, -0.5),
            ("parallel: into 4.4 dest S2", "parallel", "global", "ablate", 2.0, 1.75),
            ("parallel: into 4.4 dest S2", "parallel", "local_qkv", "ablate", 1.0, 1.25),
            ("outgoing: 0.3", "outgoing", "global", "ablate", -1.0, -1.5),
            ("outgoing: 0.3", "outgoing", "global", "boost", 1.0, 1.5),
            ("my own", None, "local_qk", "ablate", -3.0, None),
        ]
    )


def test_a_column_a_kind_and_a_panel_an_arrangement(sets):
    spec = specification(set_effects(sets))
    titles = [column["title"]["text"].split(":")[0] for column in spec["hconcat"]]
    assert titles == ["ablate", "boost"]
    for column in spec["hconcat"]:
        assert [p["title"]["text"] for p in column["vconcat"]] == ["parallel", "outgoing", OTHER]
        assert column["resolve"] == {"scale": {"x": "shared"}}
    heights = [[p["height"] for p in column["vconcat"]] for column in spec["hconcat"]]
    assert heights[0] == heights[1]


def test_sets_are_ordered_by_size_and_named_once(sets):
    ablate, boost = specification(set_effects(sets))["hconcat"]
    point = marks(ablate["vconcat"][0], "point")[0]
    assert point["encoding"]["y"]["sort"] == ["into 4.4 dest S2 (3)", "into 4.1 dest S2 (3)"]
    named = [
        c["vconcat"][1]["layer"][1]["encoding"]["y"]["axis"]["labels"] for c in (ablate, boost)
    ]
    assert named == [True, False]
    assert boost["vconcat"][0]["layer"][1]["encoding"]["y"]["scale"]["domain"] == [
        "into 4.4 dest S2 (3)",
        "into 4.1 dest S2 (3)",
    ]


def test_a_set_beside_the_sum_of_its_members(sets):
    spec = specification(set_effects(sets))
    panel = spec["hconcat"][0]["vconcat"][1]
    joined, interval = marks(panel, "rule")
    assert [joined["encoding"][x]["field"] for x in ("x", "x2")] == ["effect", "sum_of_members"]
    assert [interval["encoding"][x]["field"] for x in ("x", "x2")] == ["effect_low", "effect_high"]
    together, added = marks(panel, "point")
    assert (together["encoding"]["x"]["field"], added["encoding"]["x"]["field"]) == (
        "effect",
        "sum_of_members",
    )
    assert added["mark"]["shape"] == "diamond"
    (row,) = drawn(spec, panel, together)
    assert (row["effect"], row["sum_of_members"], row["set"]) == (-1.0, -1.5, "0.3 (3)")
    assert together["encoding"]["color"]["scale"] == {
        "domain": ["global", "local: q or k", "local: q, k and v"],
        "range": [BLUE, ORANGE, GREEN],
    }


def test_the_largest_sets_remain_and_the_others_are_counted():
    rows = [
        (f"serial: {i}", "serial", "global", "ablate", -float(i), 0.0) for i in range(MOST_SETS + 2)
    ]
    spec = specification(set_effects(sets_frame(rows)))
    panel = spec["hconcat"][0]["vconcat"][0]
    shown = drawn(spec, panel, marks(panel, "point")[0])
    assert sorted(row["effect"] for row in shown) == [
        -float(i) for i in range(MOST_SETS + 1, 1, -1)
    ]
    assert "2 sets of smaller effect not shown." in subtitle(spec)


def test_no_set_is_a_message(sets):
    (row,) = rows_of(specification(set_effects(sets.clear())))
    assert "No set" in row["message"]
