"""The door: what is composed becomes a Config or is refused by name."""

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svt.config import Config, from_mapping, to_mapping
from svt.defaults import whole_dataset
from svt.errors import SvtError
from svt.paths import conf_dir
from tests.settings import composed


@pytest.fixture(scope="module")
def default() -> dict[str, Any]:
    return composed()


def test_the_default_configuration_is_whole(default: dict[str, Any]) -> None:
    config = from_mapping(default)
    assert isinstance(config, Config)
    assert config.stages == ("dump", "trace", "evaluate", "chart", "report")
    assert (config.trace.firing_weight, config.trace.coverage) == (0.5, 0.7)
    assert (config.dump.min_weight, config.dump.sample) == (0.1, 0.01)


def test_a_config_survives_its_own_mapping(default: dict[str, Any]) -> None:
    config = from_mapping(default)
    assert from_mapping(to_mapping(config)) == config


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("trace.coverage", 1.5, "trace.coverage=1.5: must lie in [0, 1]"),
        ("trace.coverage", float("nan"), "trace.coverage=nan: must lie in [0, 1]"),
        ("trace.firing_weight", 0, "trace.firing_weight=0: must lie in (0, 1]"),
        (
            "trace.roots",
            [9.10],
            "trace.roots=[9.1]: must be auto, or a list in brackets, each a pair",
        ),
        ("trace.roots", [[9, 6, 1]], "each a pair of integers such as [9,6]"),
        ("trace.roots", [], "trace.roots=[]: must not be empty"),
        ("trace.count", "edges", "must be prompts or firings or visits"),
        ("trace.min_count", 0, "trace.min_count=0: must be at least 1"),
        ("intervene.seed", 10**18 + 1, "must be at most 1000000000000000000"),
        ("chart.prompt_id", 2**31, "must be at most 2147483647"),
        ("intervene.repeats", 10_001, "intervene.repeats=10001: must lie in [0, 10000]"),
        ("dump.memory_gb", 1e-9, "dump.memory_gb=1e-09: must lie in [0.001, 1e+06]"),
        ("dump.memory_gb", 10**400, "0000: must lie in [0.001, 1e+06]"),
        ("trace.coverage", -(10**400), "0000: must lie in [0, 1]"),
        ("trace.min_count", True, "trace.min_count=True: must be an integer, or null"),
        ("dump.components", ["attn"], "each head or mlp or embed or pos_embed or bias"),
        ("dump.components", ["head", "head"], "dump.components names head more than once"),
        ("dump.batch_size", 1.5, "dump.batch_size=1.5: must be an integer"),
        ("dataset.shard", 1, "dataset.shard=1: shards count from 0"),
        (
            "dataset.name",
            "iio",
            "must be ioi or greater_than or gendered_pronoun or file or prompt or store or hub "
            "or text",
        ),
        ("dataset.n_prompts", None, "dataset.n_prompts=null: must be an integer"),
        ("model.name", "", "model.name=: must not be empty"),
        ("stages", ["dumb"], "each dump or reference or trace or intervene or"),
        ("chart.format", ["gif"], "each json or html or svg or png"),
    ],
)
def test_a_wrong_value_is_refused_by_name(
    default: dict[str, Any], key: str, value: Any, message: str
) -> None:
    tree = copy.deepcopy(default)
    *groups, last = key.split(".")
    at = tree
    for group in groups:
        at = at[group]
    at[last] = value
    with pytest.raises(SvtError) as error:
        from_mapping(tree)
    assert message in str(error.value)


def test_an_unknown_key_is_refused_and_the_known_are_named(default: dict[str, Any]) -> None:
    tree = copy.deepcopy(default)
    tree["trace"]["coverrage"] = 0.7
    with pytest.raises(SvtError, match=r"unknown key trace\.coverrage; known here: .*coverage"):
        from_mapping(tree)


def test_a_missing_key_is_named(default: dict[str, Any]) -> None:
    tree = copy.deepcopy(default)
    del tree["dump"]["sample"]
    with pytest.raises(SvtError, match=r"dump\.sample is missing"):
        from_mapping(tree)


@pytest.mark.parametrize(("name", "what"), [("file", "FILE"), ("store", "STORE"), ("hub", "OWNER")])
def test_what_prompts_are_read_from_must_be_named(name: str, what: str) -> None:
    with pytest.raises(SvtError, match=rf"dataset={name} needs .* add dataset\.path={what}"):
        from_mapping(composed(f"dataset={name}"))


def test_a_single_prompt_must_have_a_text() -> None:
    with pytest.raises(SvtError, match=r"dataset=prompt needs a text: add .dataset\.text='When"):
        from_mapping(composed("dataset=prompt"))
    with pytest.raises(SvtError, match=r"dataset\.answer=5: must be a text, or a list"):
        from_mapping(composed("dataset=prompt", "dataset.text=one", "dataset.answer=5"))


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("ioi", {"swapped", "abc"}),
        ("greater_than", {"year01"}),
        ("gendered_pronoun", {"swapped"}),
    ],
)
def test_a_dataset_has_counterfactuals_of_its_own(name: str, kinds: set[str]) -> None:
    for kind in ("swapped", "abc", "year01"):
        composed_tree = composed(f"dataset={name}", f"dataset.counterfactual={kind}")
        if kind in kinds:
            assert from_mapping(composed_tree).dataset.counterfactual == kind
        else:
            with pytest.raises(SvtError, match=f"counterfactual={kind}: must be none or "):
                from_mapping(composed_tree)


def test_a_stored_dataset_gets_the_keys_of_its_name(default: dict[str, Any]) -> None:
    """As an earlier svt wrote it, with keys of other datasets and without a key of its own."""
    stored = {"name": "text", "path": None, "n_prompts": 8, "n_tokens": 7, "split": "train"}
    read = from_mapping(default | {"dataset": whole_dataset(stored)}).dataset
    assert (read.n_prompts, read.n_tokens, read.bos) == (8, 7, "auto")
    with pytest.raises(SvtError, match=r"dataset\.name=no: must be ioi or "):
        from_mapping(default | {"dataset": whole_dataset({"name": "no"})})


_VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.floats(allow_nan=True),
    st.text(max_size=5),
    st.lists(st.one_of(st.integers(-3, 3), st.text(max_size=3), st.lists(st.integers(0, 3)))),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


@given(data=st.data(), value=_VALUES)
def test_any_value_anywhere_is_taken_or_refused_clearly(
    default: dict[str, Any], data: st.DataObject, value: Any
) -> None:
    tree = copy.deepcopy(default)
    group = data.draw(st.sampled_from(sorted(tree)))
    if isinstance(tree[group], dict):
        tree[group][data.draw(st.sampled_from(sorted(tree[group])))] = value
    else:
        tree[group] = value
    try:
        assert from_mapping(to_mapping(from_mapping(tree))) == from_mapping(tree)
    except SvtError as error:
        assert group in str(error)


@pytest.mark.parametrize(
    "file",
    [
        path
        for group in ("model", "dataset", "dump", "trace", "evaluate", "chart", "experiment")
        for path in sorted((conf_dir() / group).glob("*.yaml"))
    ],
    ids=lambda path: f"{path.parent.name}-{path.stem}",
)
def test_every_shipped_config_composes(file: Any) -> None:
    group, name = file.parent.name, file.stem
    chosen = f"{group}={name}"
    extra = {
        "local": ["model.path=somewhere"],
        "file": ["dataset.path=prompts.jsonl"],
        "store": ["dataset.path=store.duckdb"],
        "hub": ["dataset.path=some/set"],
        "prompt": ["dataset.text=one"],
    }
    config = from_mapping(composed(chosen, *extra.get(name, [])))
    assert config.trace.slices == ("all" if name == "all_slices" else "signal")
    assert config.dump.all_slices == (name in ("all_slices", "paper") and group == "experiment")
    if name == "released":
        assert (config.trace.offset, config.trace.nonpositive, config.trace.count) == (
            "include",
            "top",
            "visits",
        )
    if (group, name) == ("experiment", "paper"):
        assert config.trace.roots == ((9, 6), (9, 9), (10, 0))
        assert (config.trace.root_src, config.model.name) == ("IO", "openai-community/gpt2")
