"""The configuration: validate the tree that Hydra composed, and convert it to frozen dataclasses.

1. The keys of the tree must be exactly the fields of the dataclasses. `dataset.name` determines the
   keys of a dataset.
2. Every value must have the field's type; the only conversion is from an integer to a float.
3. Every value must lie in its range, and the settings must agree with one another.
4. The first error that pydantic reports becomes one line: the key, its value, what it must be.

The dataclasses have no OmegaConf objects. Defaults are in conf/ only.
"""

import typing
from collections.abc import Callable, Mapping
from dataclasses import asdict, fields, is_dataclass
from functools import cache
from typing import Annotated, Any, ClassVar, Literal, get_args, get_origin

from pydantic import BeforeValidator, ConfigDict, Field, Strict, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from pydantic_core import PydanticCustomError

from svt.errors import ConfigError, suggestion
from svt.words import Base, BosChoice, Component, Count, EdgeChoice, Kind, Replacement, Scope

Stage = Literal["dump", "reference", "trace", "intervene", "evaluate", "chart", "report"]
_CLOSED = ConfigDict(extra="forbid")
_MAX_INT = 10**18  # fits into 64 bits, even with the repeats that are added to a seed


def _check(is_valid: Callable[[Any], bool], message: str, kind: str = "range") -> BeforeValidator:
    """Return a validator that refuses other values; a message of kind `whole` includes the key."""

    def check(value: Any) -> Any:
        if not is_valid(value):
            raise PydanticCustomError(kind, message)
        return value

    return BeforeValidator(check)


def _number(is_valid: Callable[[float], bool], message: str) -> BeforeValidator:
    """Return a validator of numbers (step 3); other types are refused in step 2."""
    return _check(lambda v: type(v) not in (int, float) or is_valid(v), message)


def _between(low: float, high: float) -> BeforeValidator:
    return _number(lambda v: low <= v <= high, f"must lie in [{low:g}, {high:g}]")


def _at_least(low: int) -> BeforeValidator:
    return _number(lambda v: low <= v, f"must be at least {low}")


def _at_most(high: int) -> BeforeValidator:
    return _number(lambda v: v <= high, f"must be at most {high}")


def _required(message: str) -> BeforeValidator:
    return _check(lambda v: v is not None, message, "whole")


_filled = _check(lambda v: v not in ("", [], ()), "must not be empty")

# Each type is strict, as a strict dataclass would refuse to be built from a mapping.
Int = Annotated[int, Strict()]
Natural = Annotated[Int, _at_least(0), _at_most(_MAX_INT)]
Positive = Annotated[Int, _at_least(1), _at_most(_MAX_INT)]
Float = Annotated[float, Strict()]
Share = Annotated[Float, _between(0, 1)]
Bool = Annotated[bool, Strict()]
Text = Annotated[str, Strict()]
Name = Annotated[Text, _filled]
Head = tuple[Int, Int]


@dataclass(frozen=True, config=_CLOSED)
class RunConfig:
    path: Text | None
    overwrite: Bool


@dataclass(frozen=True, config=_CLOSED)
class StoreConfig:
    dir: Text
    path: Annotated[Text | tuple[Text, ...] | None, _filled]


@dataclass(frozen=True, config=_CLOSED)
class ModelConfig:
    name: Name
    path: Text | None
    revision: Text | None
    device: Name
    dtype: Literal["float32", "float64", "bfloat16", "float16"]


@dataclass(frozen=True, config=_CLOSED)
class _Prompts:
    """The settings of all datasets except a single prompt."""

    name: Text
    n_prompts: Positive | None
    shard: Natural
    n_shards: Positive

    def __post_init__(self) -> None:
        if self.shard >= self.n_shards:
            raise PydanticCustomError(
                "whole",
                f"dataset.shard={self.shard}: shards count from 0, so the last of "
                f"dataset.n_shards={self.n_shards} is {self.n_shards - 1}",
            )


@dataclass(frozen=True, config=_CLOSED)
class GeneratedConfig(_Prompts):
    """Settings of prompts that svt makes from templates and nouns."""

    n_prompts: Positive
    bos: BosChoice
    seed: Natural
    counterfactual: Literal["none", "swapped", "abc", "year01"]
    only_correct: Bool
    templates: Text | None
    nouns: Text | None


@dataclass(frozen=True, config=_CLOSED)
class IoiConfig(GeneratedConfig):
    name: Literal["ioi"]
    pattern: Literal["mixed", "ABBA", "BABA"]
    counterfactual: Literal["none", "swapped", "abc"]
    names: Text | None


@dataclass(frozen=True, config=_CLOSED)
class GreaterThanConfig(GeneratedConfig):
    name: Literal["greater_than"]
    counterfactual: Literal["none", "year01"]


@dataclass(frozen=True, config=_CLOSED)
class GenderedPronounConfig(GeneratedConfig):
    name: Literal["gendered_pronoun"]
    counterfactual: Literal["none", "swapped"]
    names: Text | None


@dataclass(frozen=True, config=_CLOSED)
class PromptFileConfig(_Prompts):
    name: Literal["file"]
    path: Annotated[Text, _required("dataset=file needs a file: add dataset.path=FILE")]
    bos: BosChoice
    only_correct: Bool


@dataclass(frozen=True, config=_CLOSED)
class SinglePromptConfig:
    """One prompt by its text; it has no shards."""

    name: Literal["prompt"]
    text: Annotated[
        Text,
        _required("dataset=prompt needs a text: add \"dataset.text='When Mary and John went'\""),
    ]
    answer: Annotated[Text | tuple[Text, ...] | None, _filled]
    distractor: Annotated[Text | tuple[Text, ...] | None, _filled]
    bos: BosChoice
    only_correct: ClassVar[bool] = False
    shard: ClassVar[int] = 0
    n_shards: ClassVar[int] = 1


@dataclass(frozen=True, config=_CLOSED)
class StoredConfig(_Prompts):
    name: Literal["store"]
    path: Annotated[
        Text, _required("dataset=store needs a store or a run folder: add dataset.path=STORE")
    ]
    only_correct: Bool


@dataclass(frozen=True, config=_CLOSED)
class HubConfig(_Prompts):
    name: Literal["hub"]
    path: Annotated[
        Text,
        _required(
            "dataset=hub needs the name of a dataset, or a folder: add dataset.path=OWNER/NAME"
        ),
    ]
    split: Name
    revision: Text | None
    bos: BosChoice
    only_correct: Bool


@dataclass(frozen=True, config=_CLOSED)
class TextConfig(_Prompts):
    name: Literal["text"]
    path: Text | None
    n_tokens: Annotated[Int, _at_least(2), _at_most(_MAX_INT)]
    bos: BosChoice
    only_correct: ClassVar[bool] = False  # texts have no answers


DatasetConfig = Annotated[
    IoiConfig
    | GreaterThanConfig
    | GenderedPronounConfig
    | PromptFileConfig
    | SinglePromptConfig
    | StoredConfig
    | HubConfig
    | TextConfig,
    Field(discriminator="name"),
]
DATASETS: dict[str, type[Any]] = {
    get_args(typing.get_type_hints(kind)["name"])[0]: kind
    for kind in get_args(get_args(DatasetConfig)[0])
}


@dataclass(frozen=True, config=_CLOSED)
class DumpConfig:
    min_weight: Share
    pairs: Literal["eligible", "all"]
    sample: Share
    seed: Natural
    batch_size: Positive
    memory_gb: Annotated[Float, _between(0.001, 1e6)]
    components: Annotated[tuple[Component, ...], _filled]
    all_slices: Bool
    score: Literal["raw", "contrast"]
    effects: Bool
    coordinates: Literal["none", "all"] | tuple[Head, ...]

    def __post_init__(self) -> None:
        repeated = {name for name in self.components if self.components.count(name) > 1}
        if repeated:
            names = ", ".join(sorted(repeated))
            raise PydanticCustomError("whole", f"dump.components names {names} more than once")


@dataclass(frozen=True, config=_CLOSED)
class TraceConfig:
    firing_weight: Annotated[Float, _number(lambda v: 0 < v <= 1, "must lie in (0, 1]")]
    rule: Literal["coverage", "effect"]
    min_effect: Share
    coverage: Share
    slices: Literal["signal", "all"]
    nonpositive: Literal["none", "top"]
    components: Literal["head", "all"]
    offset: Literal["exclude", "include"]
    roots: Annotated[Literal["auto"] | tuple[Head, ...], _filled]
    root_dest: Name
    root_src: Name
    count: Count
    unlabelled: Literal["auto", "drop", "offset", "text"]
    min_share: Share
    min_count: Positive | None


@dataclass(frozen=True, config=_CLOSED)
class EvaluateConfig:
    reference: Name
    edges: EdgeChoice


@dataclass(frozen=True, config=_CLOSED)
class InterveneConfig:
    edges: Name
    sets: Text | None
    scopes: Annotated[tuple[Scope, ...], _filled]
    kinds: Annotated[tuple[Kind, ...], _filled]
    strength: Annotated[Float, _between(0, 1000)]
    homogeneous: Bool
    local_base: Base
    repeats: Annotated[Int, _between(0, 10_000)]
    seed: Natural
    faithfulness: Literal["mean", "resample", "none"]
    batch_size: Positive


@dataclass(frozen=True, config=_CLOSED)
class ReferenceConfig:
    ablation: Replacement
    threshold: Share
    seed: Natural


@dataclass(frozen=True, config=_CLOSED)
class ChartConfig:
    figures: Annotated[Literal["default", "all"] | tuple[Text, ...], _filled]
    edges: Literal["coverage", "effect"] | None
    format: tuple[Literal["json", "html", "svg", "png", "pdf"], ...]
    heads: Annotated[tuple[Head, ...] | None, _filled]
    dest_role: Text | None
    src_role: Text | None
    prompt_id: Annotated[Int | None, _at_least(0), _at_most(2**31 - 1)]
    min_firings: Positive
    compare_store: Text | None
    width: Positive | None
    height: Positive | None
    font: Text | None
    title: Text | None


@dataclass(frozen=True, config=_CLOSED)
class Config:
    """The complete configuration of a run."""

    stages: Annotated[tuple[Stage, ...], _filled]
    run: RunConfig
    store: StoreConfig
    model: ModelConfig
    dataset: DatasetConfig
    dump: DumpConfig
    trace: TraceConfig
    intervene: InterveneConfig
    reference: ReferenceConfig
    evaluate: EvaluateConfig
    chart: ChartConfig


_CONFIG = TypeAdapter(Config)


def from_mapping(tree: Mapping[str, Any]) -> Config:
    """Return the Config of a composed tree; ConfigError names the first invalid key."""
    try:
        return _CONFIG.validate_python(tree)
    except ValidationError as error:
        raise ConfigError(_explain(error, tree)) from None


def to_mapping(config: Any) -> dict[str, Any]:
    """Return a dataclass of this module as plain JSON values, the inverse of `from_mapping`."""
    return asdict(config)


@cache
def choices(key: str) -> tuple[str, ...]:
    """Return the words that `GROUP.KEY` accepts; empty where it is no choice of words."""
    group, last = key.split(".")
    hint = typing.get_type_hints(typing.get_type_hints(Config)[group])[last]
    return get_args(hint) if get_origin(hint) is Literal else ()


def _explain(error: ValidationError, tree: Any) -> str:
    """Return the message of the first error (step 4), an unknown key before a missing one."""
    errors = error.errors(include_url=False)
    unknown = [e for e in errors if e["type"] in ("unexpected_keyword_argument", "invalid_key")]
    first = (unknown or errors)[0]
    place, message = list(first["loc"]), first["msg"]
    group = place[0] if place else None
    kind: Any = typing.get_type_hints(Config).get(str(group))
    if group == "dataset" and len(place) > 1:
        kind = DATASETS[str(place.pop(1))]
    if not is_dataclass(kind) or len(place) == 1:
        kind = Config
    key = place[: 1 if kind is Config else 2]
    where = ".".join(map(str, key))
    if unknown:
        names = [f.name for f in fields(kind)]
        near = suggestion(str(key[-1]), names)
        return f"unknown key {where}; known here: {', '.join(names)}{near}"
    match first["type"]:
        case "whole":
            return message
        case "union_tag_not_found":
            return "dataset.name is missing"
        case "missing" if place == key:
            return f"{where} is missing"
        case "dataclass_type" | "model_attributes_type":
            value = tree[group] if key else tree
            return f"{where or 'the configuration'} must be a group of keys, not {value!r}"
        case "union_tag_invalid":
            where, message = "dataset.name", f"must be {' or '.join(DATASETS)}"
        case problem if problem != "range":
            message = f"must be {_describe_type(typing.get_type_hints(kind)[str(key[-1])])}"
    for part in where.split("."):
        tree = tree[part]
    shown = "null" if tree is None else list(tree) if isinstance(tree, tuple) else tree
    return f"{where}={shown}: {message}"


def _describe_type(hint: Any) -> str:
    """Return a type in words for a message."""
    if hint == tuple[int, int]:
        return "a pair of integers such as [9,6]"
    if get_origin(hint) is Literal:
        return " or ".join(str(choice) for choice in get_args(hint))
    if get_origin(hint) is tuple:
        return f"a list in brackets, each {_describe_type(get_args(hint)[0])}"
    simple = {bool: "true or false", int: "an integer", float: "a number", str: "a text"}
    if hint in simple:
        return simple[hint]
    if hint is type(None):
        return "null"
    return ", or ".join(_describe_type(option) for option in get_args(hint))
