import polars as pl
import pytest

from svt.report.interventions import HEAVIEST, intervention_facts, intervention_tables
from tests.charts.intervention_frames import effects_frame

SHARE = pl.col("effect").truediv(8).alias("effect_share")
SETS = ["label", "scope", "kind", "n_edges", "effect", "sum_of_members", "ratio", "difference"]
NO_SETS = pl.DataFrame(schema=[*SETS, "difference_low", "difference_high"])


@pytest.fixture
def edges() -> pl.DataFrame:
    return effects_frame(
        [
            {"label": "a", "scope": "local_qk", "effect": -9.0},
            {"label": "b", "kind": "boost", "effect": 0.5},
            {"label": "a", "effect": -1.5, "effect_low": -1.625, "effect_high": -1.25},
            {"label": "b", "effect": -0.5, "beyond": False},
        ]
    ).with_columns(SHARE)


def test_the_fact_is_of_global_ablation(edges):
    (fact,) = intervention_facts(edges)
    assert (fact.label, fact.value) == ("causal edges", "1 of 2 (1 help)")
    change, controls = fact.note.split("; ")
    assert change == "beyond random slices, global ablation"
    assert controls.startswith("with 5 controls a change the smallest possible p-value is 0.17")
    assert controls.endswith("a discovery needs intervene.repeats=19 or more")


def test_discoveries_are_counted_where_enough_controls_were_run(edges):
    values = pl.Series([0.04, 0.04, 0.05, 0.2])
    enough = edges.with_columns(n_random=pl.lit(19), q_value=values)
    (fact,) = intervention_facts(enough)
    assert fact.note.endswith("global ablation; 1 of 2 at a false discovery rate of 5%")
    (fact,) = intervention_facts(enough.with_columns(q_value=pl.lit(None, pl.Float64)))
    assert fact.note == "beyond random slices, global ablation"
    found = intervention_tables(enough, NO_SETS)[0].frame["false_discovery_below_5_percent"]
    assert found.to_list() == [1, 1, 1]


def test_what_hinders_and_what_is_too_rare_is_counted_apart(edges):
    """Two more: one that raises the difference when it is gone, and one without a verdict."""
    more = effects_frame([{"label": "c", "effect": 1.5}, {"label": "d", "beyond": None}])
    (fact,) = intervention_facts(pl.concat([edges.drop("effect_share"), more]))
    assert fact.value == "2 of 3 (1 help, 1 hinder); 1 in too few prompts"
    (fact,) = intervention_facts(more.filter(label="d"))
    assert fact.value == "none decided; 1 in too few prompts"


def test_the_fact_without_a_global_ablation(edges):
    local = edges.filter(pl.col("scope") != "global")
    assert intervention_facts(local)[0].note.startswith(
        "beyond random slices, local: q or k ablation; "
    )
    boost = edges.filter(pl.col("kind") == "boost")
    assert intervention_facts(boost)[0].note.startswith("beyond random slices, global boosting; ")


def test_edges_beyond_chance_are_counted_by_scope_and_kind(edges):
    counts = intervention_tables(edges, NO_SETS)[0].frame
    assert counts.select(
        "scope", "kind", "edges", "beyond_random_slices", "mean_effect"
    ).rows() == [
        ("global", "ablate", 2, 1, -1.0),
        ("global", "boost", 1, 1, 0.5),
        ("local: q or k", "ablate", 1, 1, -9.0),
    ]


def test_the_heaviest_edges_are_in_the_order_of_the_query(edges):
    heaviest = intervention_tables(edges, NO_SETS)[1]
    assert heaviest.reading.startswith("Global ablation: ")
    shown = heaviest.frame.select("edge", "effect", "interval", "share", "beyond")
    assert shown.rows() == [
        ("a", -1.5, "−1.625 to −1.250", -0.1875, True),
        ("b", -0.5, "−0.600 to −0.400", -0.0625, False),
    ]
    many = effects_frame([{"label": str(i)} for i in range(HEAVIEST + 5)]).with_columns(SHARE)
    assert intervention_tables(many, NO_SETS)[1].frame.height == HEAVIEST


def test_without_a_control_there_is_no_interval(edges):
    bare = edges.with_columns(
        pl.lit(None, pl.Float64).alias(name) for name in ("random_low", "random_high")
    )
    heaviest = intervention_tables(bare, NO_SETS)[1].frame
    assert heaviest["random_interval"].to_list() == [None, None]


def test_sets_have_a_table_of_their_own(edges):
    row = {"label": "serial: x", "scope": "global", "kind": "ablate", "n_edges": 2, "effect": -1.0}
    row |= {"sum_of_members": -2.0, "ratio": 0.5, "difference": 1.0}
    sets = pl.DataFrame([row | {"difference_low": 0.5, "difference_high": 1.5}])
    (table,) = intervention_tables(edges.clear(), sets)
    assert table.frame.rows() == [("serial: x", 2, -1.0, -2.0, 0.5, 1.0, "0.500 to 1.500")]


def test_without_interventions_there_are_no_tables(edges):
    assert intervention_facts(edges.clear()) == []
    assert intervention_tables(edges.clear(), NO_SETS) == []
