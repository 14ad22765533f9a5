"""The figures by name, what they ask, and what they draw of a run that holds nothing."""

from __future__ import annotations  # DuckDB complains of types that pytest keeps to the end

import dataclasses
import re
from functools import partial

import altair as alt
import duckdb
import polars as pl
import pytest

from svt.charts import (
    FIGURES,
    Context,
    QueryCall,
    check_figures,
    choose_figures,
    draw,
    trace_figures,
)
from svt.charts.figure import Figure, FigureSpec, Recorder
from svt.charts.style import message, specification, title
from svt.errors import SvtError
from svt.query.named import query_names, run
from tests import settings
from tests.charts.frames import rows_of
from tests.store_rows import connection

TRACE = dataclasses.replace(settings.TRACE, min_share=0.6)
CONTEXT = Context(TRACE, [(2, 0)], 100, settings.CHART)


@pytest.fixture(scope="module")
def con() -> duckdb.DuckDBPyConnection:
    stored = '{"dump": {"all_slices": true, "effects": true}}'
    return connection({"dump": [{"config": stored}]})


def test_the_figures_are_those_of_the_contract():
    assert set(FIGURES) == {
        *("graph", "graph_top", "graph_skeleton", "graph_all_slices", "precision_recall"),
        *("upstream_heatmap", "slice_contributions", "slice_usage", "slice_counts"),
        *("signal_by_token", "edge_effects", "set_effects", "disturbance", "effect_vs_weight"),
        *("faithfulness", "firing_rates", "prompt_graph", "contribution_vs_effect"),
        *("prompt_families", "head_card"),
    }


@pytest.mark.parametrize("name", FIGURES)
def test_an_empty_run_draws_a_message(name, con):
    figure = draw(name, partial(run, con), CONTEXT)
    assert specification(figure.chart)["mark"]["type"] == "text"
    assert figure.calls
    assert {call.query for call in figure.calls} <= set(query_names())


@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_read_by_one_sentence(name):
    spec = FIGURES[name]
    assert spec.title
    assert re.fullmatch(r"[A-Z][^.!?]*\.", spec.reading)


def test_a_figure_knows_its_context_and_its_queries(monkeypatch, con):
    def drawn(ask, context):
        return message(f"from {context.min_count}", f"{ask('firings', min_prompts=3).height} rows")

    monkeypatch.setitem(FIGURES, "own", FigureSpec("Title", "Reading.", drawn))
    figure = draw("own", partial(run, con), CONTEXT)
    assert (figure.name, figure.title, figure.reading) == ("own", "Title", "Reading.")
    spec = specification(figure.chart)
    assert (spec["title"]["text"], rows_of(spec)) == ("from 60", [{"message": "0 rows"}])
    assert [call.command for call in figure.calls] == ["svt-sql RUN firings min_prompts=3"]


@pytest.mark.parametrize(
    ("count", "message"),
    [("prompts", "in 30% or"), ("visits", "in 60% or"), ("firings", "in 60% or")],
)
def test_only_a_count_of_prompts_is_a_share_of_them(count, message, monkeypatch, con):
    """30 of 100 prompts; 30 visits are no share, so min_share 0.6 is."""
    seen = []
    monkeypatch.setattr(trace_figures, "firing_rates", lambda *_, **given: seen.append(given))
    trace = dataclasses.replace(TRACE, count=count, min_count=30)
    FIGURES["firing_rates"].draw(
        Recorder(partial(run, con)), Context(trace, [], 100, settings.CHART)
    )
    assert seen[0]["min_rate"] == (0.3 if count == "prompts" else 0.6)
    assert message in seen[0]["notes"][0]


@pytest.mark.parametrize(
    ("min_share", "min_count", "shown"), [(0.25, None, 25), (0.001, None, 1), (0.6, 7, 7)]
)
def test_the_count_from_which_edges_are_shown(min_share, min_count, shown):
    trace = dataclasses.replace(TRACE, min_share=min_share, min_count=min_count)
    assert Context(trace, [(2, 0)], 100, settings.CHART).min_count == shown
    assert Context(dataclasses.replace(TRACE, min_share=0.1), [], 70, settings.CHART).min_count == 7


def test_a_file_says_how_to_read_it():
    """Above what the chart says itself, in lines that fit."""
    chart = message("Heading", "x").properties(title=title("Heading", "12 prompts."))
    reading = "Read it upwards. " * 9
    lines = Figure("own", "Title", reading.strip(), chart).standalone()["title"]["subtitle"]
    assert lines[-1] == "12 prompts." and len(lines) == 3
    assert " ".join(lines[:-1]) == reading.strip() and max(map(len, lines)) <= 110
    figure = Figure("own", "Title", "Read.", chart)
    assert figure.standalone("Mine")["title"] == {
        "text": "Mine",
        "subtitle": ["Read.", "12 prompts."],
    }
    assert figure.standalone(None) == {k: v for k, v in figure.spec.items() if k != "title"}
    untitled = Figure("own", "Title", "Read.", alt.Chart(alt.Data(values=[])).mark_bar())
    assert untitled.standalone()["title"] == {"text": "Title", "subtitle": ["Read."]}


def test_only_a_chart_of_words_is_empty():
    assert Figure("own", "Title", "Read.", message("Heading", "Nothing.")).is_empty
    assert not Figure("own", "Title", "Read.", alt.Chart(alt.Data(values=[])).mark_bar()).is_empty


def test_unknown_figures_are_refused_with_the_known_ones(con):
    with pytest.raises(SvtError, match=r"no figure 'grpah'; known: graph, .*precision_recall, "):
        check_figures(("graph", "grpah"))
    with pytest.raises(SvtError, match="no figure"):
        draw("grpah", partial(run, con), CONTEXT)


def test_figures_without_their_tables_are_not_drawn_unasked():
    unasked = choose_figures("default", {"trace_pairs", "pairs"})
    assert "slice_usage" in unasked
    assert "signal_by_token" not in unasked
    assert "precision_recall" not in unasked
    assert "signal_by_token" in choose_figures("default", {"trace_pairs", "coordinates"})
    assert choose_figures(("signal_by_token", "graph"), set()) == ("signal_by_token", "graph")


def test_an_imported_circuit_is_drawn_without_a_store():
    """Its tables: edges, and evaluation where a reference is known."""
    assert choose_figures("all", {"graph_edges", "evaluation"}) == (
        "graph",
        "graph_top",
        "precision_recall",
    )
    assert choose_figures("default", {"imported_heads"}) == ()


def test_commands_can_be_typed():
    call = QueryCall(
        "slice_counts",
        {"heads": ((9, 9), (10, 0)), "dest_role": "S1+1", "firing": True, "coverage": 0.5},
    )
    assert call.command == (
        "svt-sql RUN slice_counts 'heads=[[9,9],[10,0]]' dest_role=S1+1 firing=true coverage=0.5"
    )
    assert QueryCall("firings", {"prompt_id": None}, "my store.duckdb").command == (
        "svt-sql 'my store.duckdb' firings prompt_id=null"
    )


def test_queries_elsewhere_are_remembered_with_their_target():
    here, there = (pl.DataFrame({"at": [name]}) for name in ("here", "there"))
    recorder = Recorder(lambda query, **_: here)
    elsewhere = recorder.for_target(lambda query, **_: there, "other.duckdb")
    assert (recorder("firings").item(), elsewhere("summary").item()) == ("here", "there")
    assert [call.command for call in recorder.calls] == [
        "svt-sql RUN firings",
        "svt-sql other.duckdb summary",
    ]
