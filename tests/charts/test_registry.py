import dataclasses

import polars as pl
import pytest

from svt.charts import DEFAULT_FIGURES, Context, draw, known_figures
from svt.charts.style import specification
from svt.errors import SvtError
from tests import settings
from tests.charts.frames import evaluation_frame, layers_of, rows_of, subtitle

TRACE = dataclasses.replace(settings.TRACE, min_share=0.6)
CONTEXT = Context(TRACE, [(2, 0)], n_prompts=100)


@pytest.fixture
def frames(edges, nodes, firings) -> dict[str, pl.DataFrame]:
    return {
        "graph_edges": edges,
        "graph_nodes": nodes,
        "firings": firings,
        "precision_recall": evaluation_frame(
            [("ioi-mini", "prompts", 90, 4, 3, 0.75, 0.3, 0.4, 0.4)]
        ),
        "random_baseline": pl.DataFrame(
            {"metric": ["precision"], "mean": [0.2], "low": [0.1], "high": [0.3]}
        ),
        "upstream_heatmap": pl.DataFrame(
            {
                "up_layer": [0],
                "up_head": [1],
                "contribution": [1.0],
                "contribution_all": [2.0],
                "n_firings": [9],
            }
        ),
        "example_firing": pl.DataFrame(
            {
                "pair_id": [77],
                "prompt_id": [1],
                "layer": [2],
                "head": [0],
                "dest": [9],
                "src": [3],
                "dest_token": [" to"],
                "src_token": [" Mary"],
                "weight": [0.9],
                "score": [3.0],
                "text": ["…"],
            }
        ),
        "firing_slices": pl.DataFrame(
            {"k": [0], "contribution": [1.0], "rank": [0], "in_signal": [True]}
        ),
    }


def test_figures_ask_for_what_they_need_and_remember_it(frames):
    figures = {n: draw(n, lambda query, **_: frames[query], CONTEXT) for n in DEFAULT_FIGURES}
    commands = {n: [asked.command for asked in f.asked] for n, f in figures.items()}
    assert commands == {
        "graph": [
            "svt-sql RUN graph_edges min_count=0",
            "svt-sql RUN graph_nodes min_count=0",
            "svt-sql RUN firings",
        ],
        "precision_recall": ["svt-sql RUN precision_recall", "svt-sql RUN random_baseline"],
        "upstream_heatmap": [
            "svt-sql RUN upstream_heatmap layer=2 head=0 side=dest dest_role=end src_role=any"
        ],
        "slice_contributions": [
            "svt-sql RUN example_firing layer=2 head=0 dest_role=end src_role=any",
            "svt-sql RUN firing_slices pair_id=77",
        ],
    }
    assert all(figure.title and figure.reading.endswith(".") for figure in figures.values())
    graph = specification(figures["graph"].chart)
    assert len(rows_of(graph, layers_of(graph, "line")[0])) == 3


def test_an_empty_run_draws_messages(frames):
    for name in DEFAULT_FIGURES:
        figure = draw(name, lambda query, **_: frames[query].clear(), CONTEXT)
        assert "mark" in specification(figure.chart)


@pytest.mark.parametrize(
    ("min_share", "min_count", "shown"), [(0.25, None, 25), (0.001, None, 1), (0.6, 7, 7)]
)
def test_the_count_from_which_edges_are_shown(min_share, min_count, shown):
    trace = dataclasses.replace(TRACE, min_share=min_share, min_count=min_count)
    assert Context(trace, [(2, 0)], 100).min_count == shown
    assert Context(dataclasses.replace(TRACE, min_share=0.1), [], 70).min_count == 7


def test_unknown_figures_are_refused_with_the_known_ones(frames):
    with pytest.raises(SvtError, match="no figure 'grpah'; known: graph, precision_recall, "):
        known_figures(("graph", "grpah"))
    with pytest.raises(SvtError, match="no figure"):
        draw("grpah", lambda query, **_: frames[query], CONTEXT)
    assert known_figures("default") == DEFAULT_FIGURES


def test_the_context_sets_the_threshold(frames):
    figure = draw("graph", lambda query, **_: frames[query], CONTEXT)
    assert "at least 60 prompts" in subtitle(specification(figure.chart))
