import pytest

from svt.charts.edge_effects import MOST_EDGES, SCORE, edge_effects, rank_by_weight
from svt.charts.interventions import EFFECT
from svt.charts.style import BLUE, GREY, ORANGE, specification
from tests.charts.frames import rows_of, subtitle
from tests.charts.intervention_frames import drawn, effects_frame, marks


@pytest.fixture
def effects():
    """A heavy edge that is causal, a light one that is not, in two scopes and two kinds."""
    heavy, light = "0.3 -> 4.1 dest S2", "1.0 -> 4.1 dest S2"
    return effects_frame(
        [
            {"label": light, "weight": 0.5, "effect": 0.05, "beyond": False},
            {"label": light, "weight": 0.5, "scope": "local_qk", "beyond": True},
            {"label": heavy, "weight": 2.0, "effect": -1.5, "score_effect": -0.7},
            {"label": heavy, "weight": 2.0, "kind": "boost", "effect": 0.8, "beyond": False},
            {"label": heavy, "weight": 2.0, "scope": "local_qk", "effect": -0.75, "beyond": False},
        ]
    )


def test_a_block_a_measure_and_a_panel_a_scope(effects):
    spec = specification(edge_effects(effects))
    assert [block["title"]["text"] for block in spec["hconcat"]] == [EFFECT, SCORE]
    for block in spec["hconcat"]:
        assert [p["title"]["text"] for p in block["hconcat"]] == ["global", "local: q or k"]
        assert block["resolve"] == {"scale": {"x": "shared"}}
    first = spec["hconcat"][0]["hconcat"][0]
    assert first["height"] == spec["hconcat"][1]["hconcat"][1]["height"]


def test_edges_are_ordered_by_weight_and_named_once(effects):
    spec = specification(edge_effects(effects))
    (global_, local) = spec["hconcat"][0]["hconcat"]
    for panel in (global_, local):
        (points,) = marks(panel, "point")
        assert points["encoding"]["y"]["sort"] == [
            "0.3 -> 4.1 dest S2 (9)",
            "1.0 -> 4.1 dest S2 (9)",
        ]
    (named,), (unnamed,) = marks(global_, "point"), marks(local, "point")
    assert "labels" not in named["encoding"]["y"]["axis"]
    assert unnamed["encoding"]["y"]["axis"]["labels"] is False


def test_effects_have_intervals_beside_their_control(effects):
    spec = specification(edge_effects(effects))
    panel = spec["hconcat"][0]["hconcat"][0]
    random, interval = marks(panel, "rule")
    assert random["mark"]["color"] == GREY
    assert [random["encoding"][x]["field"] for x in ("x", "x2")] == ["random_low", "random_high"]
    assert [interval["encoding"][x]["field"] for x in ("x", "x2")] == ["effect_low", "effect_high"]
    (points,) = marks(panel, "point")
    assert points["encoding"]["x"]["field"] == "effect"
    assert points["encoding"]["yOffset"]["field"] == "kind"
    assert points["encoding"]["color"]["scale"] == {
        "domain": ["ablate", "boost", "random slices"],
        "range": [BLUE, ORANGE, GREY],
    }
    assert [(r["kind"], r["effect"]) for r in drawn(spec, panel, points)] == [
        ("ablate", 0.05),
        ("ablate", -1.5),
        ("boost", 0.8),
    ]


def test_what_lies_beyond_the_control_is_filled_and_counted(effects):
    spec = specification(edge_effects(effects))
    (points,) = marks(spec["hconcat"][0]["hconcat"][0], "point")
    fill = points["encoding"]["fill"]
    assert fill["condition"]["test"] == "datum.beyond"
    assert (fill["condition"]["field"], fill["value"]) == ("kind", "transparent")
    assert subtitle(spec) == (
        "2 edges, the largest weight on top; in brackets the number of prompts. Filled points lie "
        "beyond random slices: the edge helps or hinders the answer. Ablation: global 1 of 2 "
        "(1 help). local: q or k 1 of 2 (1 help). With 5 controls a change the smallest possible "
        "p-value is 0.17, and a discovery needs intervene.repeats=19 or more."
    )


def test_attention_scores_are_bars(effects):
    spec = specification(edge_effects(effects))
    panel = spec["hconcat"][1]["hconcat"][0]
    (bars,) = marks(panel, "bar")
    assert bars["encoding"]["x"]["field"] == "score_effect"
    assert -0.7 in [row["score_effect"] for row in drawn(spec, panel, bars)]


def test_tooltips_name_each_value_once(effects):
    """Vega keeps one value a title: two of the same name would hide one."""
    spec = specification(edge_effects(effects))
    for block in spec["hconcat"]:
        for layer in (one for panel in block["hconcat"] for one in panel["layer"]):
            titles = [t.get("title", t["field"]) for t in layer["encoding"].get("tooltip", [])]
            assert len(titles) == len(set(titles))


def test_only_the_heaviest_edges_are_shown():
    rows = [{"label": f"0.0 -> 1.{i} dest end", "weight": float(i)} for i in range(MOST_EDGES + 3)]
    spec = specification(edge_effects(effects_frame(rows)))
    panel = spec["hconcat"][0]["hconcat"][0]
    (points,) = marks(panel, "point")
    assert sorted(r["weight"] for r in drawn(spec, panel, points)) == list(range(3, MOST_EDGES + 3))
    assert f"The {MOST_EDGES} edges of the largest weight; 3 not shown; " in subtitle(spec)


def test_edges_without_a_weight_come_last():
    rows = [{"label": "b", "weight": None}, {"label": "c"}, {"label": "a", "weight": None}]
    assert rank_by_weight(effects_frame(rows)) == ["c", "a", "b"]


def test_without_a_control_nothing_is_said_to_be_beyond():
    nothing = dict.fromkeys(("random_effect", "random_low", "random_high", "beyond"))
    spec = specification(edge_effects(effects_frame([{"label": "a", "n_random": 0} | nothing])))
    assert "Without random controls" in subtitle(spec)
    (points,) = marks(spec["hconcat"][0]["hconcat"][0], "point")
    assert points["encoding"]["color"]["scale"]["domain"] == ["ablate"]


def test_without_answers_edge_effects_are_a_message():
    nothing = dict.fromkeys(("effect", "effect_low", "effect_high"))
    (row,) = rows_of(specification(edge_effects(effects_frame([{"label": "a"} | nothing]))))
    assert "no answers" in row["message"]
