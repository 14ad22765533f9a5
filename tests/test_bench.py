"""The benchmark: its format_table, its parts on a tiny checkpoint, and that both products agree."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from transformers import AutoConfig

from svt.bench import dumps, larger, products, traces
from svt.bench.__main__ import format_table
from svt.bench.rows import Row, divide, format_number
from svt.bench.setting import EVERYTHING, STRONG, configuration, draw_random
from svt.compute.decompose import decompose_model
from svt.compute.load import load_model
from svt.db.stores import Stores
from svt.errors import SvtError
from svt.model.memory import estimate_needs
from svt.query.trace import trace
from svt.store.results import create_results
from tests.checkpoints import tiny_gpt2
from tests.compute.runs import loaded
from tests.families import SETTINGS, tiny_model


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_gpt2(tmp_path_factory.mktemp("model"), sharp=4.0)


def test_a_row_has_median_range_and_whether_the_limit_is_met() -> None:
    row = Row("dump / pass", [1.5, 1.0, 1.2], "", ("at most", 1.25))
    assert row.cells() == ("1.2 (1 to 1.5)", "at most 1.25", "yes")
    assert row.to_json()["median"] == 1.2
    slow = replace(row, values=[1.3])
    assert slow.cells() == ("1.3", "at most 1.25", "NO")
    assert replace(slow, limit=("at least", 1.3)).met is True
    assert replace(slow, limit=None).met is None


def test_the_table_has_columns_and_the_gpu_last() -> None:
    rows = [Row("b", [2.0], "s", device="cuda"), Row("a", [1234.5], "s", ("at least", 5))]
    first, second, third = format_table(rows).splitlines()
    assert first.split() == ["measured", "limit", "met"]
    assert second.split() == ["a", "1,234", "s", "at", "least", "5", "yes"]
    assert third.split() == ["cuda:", "b", "2", "s"]


def test_numbers_and_ratios() -> None:
    assert [format_number(x) for x in (0.01234, 1.0, 1.256, 99.96, 1234.6)] == [
        *("0.0123", "1", "1.26", "100", "1,235"),
    ]
    assert divide([2.0, 9.0], [1.0, 3.0]) == [2.0, 3.0]


def test_the_exponent_is_that_of_the_power_law() -> None:
    sizes = np.array([16, 32, 64, 128])
    assert dumps.fit_exponent(sizes, 7 * sizes**1.5) == pytest.approx(1.5)


def test_a_dump_is_taken_apart(tiny: Path, tmp_path: Path) -> None:
    dataset = draw_random(3, 8, 100)
    every = dumps.measure_dump(configuration(tiny, *EVERYTHING), dataset, tmp_path / "a.duckdb")
    model = load_model(configuration(tiny).model)
    heads, layers = model.n_heads, model.n_layers
    assert every.pairs == 3 * layers * heads * 8 * 9 / 2
    assert every.upstream == every.pairs * heads * (layers - 1)  # 2 sides, layer / 2 layers below
    assert every.numbers == every.upstream + every.pairs * 2 * model.d_head
    assert 0 < dumps.table_bytes(tmp_path / "a.duckdb", "pair_upstream") < every.store
    strong = dumps.measure_dump(configuration(tiny, *STRONG), dataset, tmp_path / "b.duckdb")
    assert strong.firing == every.firing == strong.pairs < every.pairs
    assert strong.seconds == strong.set_up + strong.work


def test_both_products_agree(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "N_TOKENS", 12)
    model = loaded(tiny)
    rows = products.product_rows(model, decompose_model(model), repeats=1)  # compares them
    assert len(rows) == len(products.PAIRS_A_TOKEN) + 3


def test_without_the_package_smollm2_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def missing(n: int) -> None:
        raise SvtError("no such package")

    monkeypatch.setattr(traces, "load_smollm2", missing)
    assert traces.smollm2_rows(tmp_path, 1) == []
    assert "SmolLM2 is left out: no such package" in capsys.readouterr().err


@pytest.mark.long
def test_interventions_are_timed_against_full_passes(tiny: Path, tmp_path: Path) -> None:
    config, dataset = configuration(tiny, *STRONG), draw_random(4, 8, 100)
    store = tmp_path / "store.duckdb"
    dumps.measure_dump(config, dataset, store)
    roots = traces.top_firing_heads(store)
    settings = replace(config.trace, roots=roots, nonpositive="top", min_share=0.0)
    with create_results(tmp_path / "run", Stores.of(store), keep=False) as con:
        trace(con, settings)
    model = load_model(config.model)
    rows = traces.intervention_rows(
        config, tmp_path / "run", store, model, dataset, [2.0, 1.0], 3.0
    )
    assert [row.limit for row in rows] == [None, ("at least", 3.0)] * 3
    for rate, ratio in zip(rows[::2], rows[1::2], strict=True):
        assert rate.name.startswith("interventions, ")
        assert ratio.values == pytest.approx([rate.values[0] * 2 / 4, rate.values[1] * 1 / 4])


def test_products_of_a_small_shape() -> None:
    """2 layers of 2 heads, one of keys, width 3, r 1, MLP 5; 4 tokens, one pair a head and prompt.

    forward: 2 * (4 * (2 * 3 * 3 + 45) + 2 * 16 * 2); contributions: 4 * 2 * 3 written,
    4 pairs * (6 + 4 + 2 * 1 head below * 3); effects: 4 * 2 * 4 * 3 norms,
    4 heads * 4 (1 - 3/4) rows * 2.5 keys + 4 pairs = 14 partners * (1 + 1) * 3.
    """
    counted = larger.count_products(larger.Shape(2, 2, 1, 3, 1, 5), 4, 1.0)
    assert counted.decomposition == 2 * (2 * (6 * 3 + 14) + 2 * 3)
    assert counted.forward == 632
    assert counted.contributions == 24 + 4 * 16
    assert counted.effects == pytest.approx(96 + 84)
    assert counted.of_pairs(effects=False) == 88


def test_a_shape_needs_what_its_weights_need(tmp_path: Path) -> None:
    """Without weights as with them, but for what bfloat16 saves in the mapped file."""
    settings = SETTINGS["llama"]
    whole = tiny_model("llama", tmp_path / "whole")
    real = estimate_needs(whole, json.loads((whole / "config.json").read_text()), 4)
    config = AutoConfig.for_model("llama", **settings)
    without = larger.needs_of_shape(tmp_path / "without", config)
    assert without.stays == real.stays
    assert real.mapped / 2 < without.mapped < real.mapped / 2 + 10_000


@pytest.mark.long
def test_layers_are_measured_and_the_rest_is_calculated(tmp_path: Path) -> None:
    settings = SETTINGS["llama"] | {"num_hidden_layers": larger.N_LAYERS}
    larger.make_layers(tmp_path / "layers", "llama", settings)
    measured = larger.measure_layers(tmp_path / "layers")
    shape = larger.Shape(larger.N_LAYERS, 4, 2, 32, 8, 48)
    cost = measured.kinds["effects"]
    assert cost.pairs == measured.kinds["strong"].pairs < measured.kinds["defaults"].pairs
    density = cost.density(shape)
    same = larger.calculate_computing(shape, measured, "effects", larger.N_RUN, density)
    assert same == pytest.approx(cost.computing)  # of the layers that were run
    more = replace(shape, n_layers=8)
    assert larger.calculate_computing(more, measured, "effects", 1, density) > same * 4 / 16
