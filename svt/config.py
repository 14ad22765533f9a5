"""The door of the configuration: what Hydra composed becomes frozen dataclasses, or is refused.

1. Every key of the composed tree must be a field of its dataclass; every field must be there. A
   dataset has the keys of its own kind, which `dataset.name` decides.
2. Every value must have the field's type; nothing is converted but an integer given for a float.
3. Every value must lie in its range, and the settings must agree with one another.
4. The first error that pydantic reports becomes one line: the key, its value, what it must be.

Beyond this module nobody sees an OmegaConf object. Defaults stand in conf/ alone.
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
_MOST = 10**18  # of an integer: 64 bits, also with the repeats that are added to a seed


def _check(holds: Callable[[Any], bool], message: str, kind: str = "range") -> BeforeValidator:
    """Refuse a value for which `holds` is false; a message of kind `whole` names the key itself."""

    def check(value: Any) -> Any:
        if not holds(value):
            raise PydanticCustomError(kind, message)
        return value

    return BeforeValidator(check)


def _number(holds: Callable[[float], bool], message: str) -> BeforeValidator:
    """Step 3 of a number; what is none is refused by its type."""
    return _check(lambda v: type(v) not in (int, float) or holds(v), message)


def _between(low: float, high: float) -> BeforeValidator:
    return _number(lambda v: low <= v <= high, f"must lie in [{low:g}, {high:g}]")


def _at_least(low: int) -> BeforeValidator:
    return _number(lambda v: low <= v, f"must be at least {low}")


def _at_most(high: int) -> BeforeValidator:
    return _number(lambda v: v <= high, f"must be at most {high}")


def _given(needs: str) -> BeforeValidator:
    return _check(lambda v: v is not None, needs, "whole")


_filled = _check(lambda v: v not in ("", [], ()), "must not be empty")

# Strict types one by one: a strict dataclass would refuse the mapping that it is made from.
Int = Annotated[int, Strict()]
Natural = Annotated[Int, _at_least(0), _at_most(_MOST)]
Positive = Annotated[Int, _at_least(1), _at_most(_MOST)]
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
    """What every dataset has."""

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
    """Prompts that svt makes from templates and nouns."""

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
    path: Annotated[Text, _given("dataset=file needs a file: add dataset.path=FILE")]
    bos: BosChoice
    only_correct: Bool


@dataclass(frozen=True, config=_CLOSED)
class SinglePromptConfig:
    """One prompt by its text; it has no parts."""

    name: Literal["prompt"]
    text: Annotated[
        Text,
        _given("dataset=prompt needs a text: add \"dataset.text='When Mary and John went'\""),
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
        Text, _given("dataset=store needs a store or a run folder: add dataset.path=STORE")
    ]
    only_correct: Bool


@dataclass(frozen=True, config=_CLOSED)
class HubConfig(_Prompts):
    name: Literal["hub"]
    path: Annotated[
        Text,
        _given("dataset=hub needs the name of a dataset, or a folder: add dataset.path=OWNER/NAME"),
    ]
    split: Name
    revision: Text | None
    bos: BosChoice
    only_correct: Bool


@dataclass(frozen=True, config=_CLOSED)
class TextConfig(_Prompts):
    name: Literal["text"]
    path: Text | None
    n_tokens: Annotated[Int, _at_least(2), _at_most(_MOST)]
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
            told = f"dump.components names {', '.join(sorted(repeated))} more than once"
            raise PydanticCustomError("whole", told)


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
    """One run, whole: what `svt` composed, frozen."""

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
    """The composed configuration as a Config; ConfigError names the first key that is wrong."""
    try:
        return _CONFIG.validate_python(tree)
    except ValidationError as error:
        raise ConfigError(_refusal(error, tree)) from None


def to_mapping(config: Any) -> dict[str, Any]:
    """A dataclass of this module as plain JSON values; `from_mapping` takes it back."""
    return asdict(config)


@cache
def choices(key: str) -> tuple[str, ...]:
    """Return the words that `GROUP.KEY` may be; none where it is no choice of words."""
    group, last = key.split(".")
    hint = typing.get_type_hints(typing.get_type_hints(Config)[group])[last]
    return get_args(hint) if get_origin(hint) is Literal else ()


def _refusal(error: ValidationError, tree: Any) -> str:
    """Step 4; a key that is unknown goes first, as another may be missing for it."""
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
            held = tree[group] if key else tree
            return f"{where or 'the configuration'} must be a group of keys, not {held!r}"
        case "union_tag_invalid":
            where, message = "dataset.name", f"must be {' or '.join(DATASETS)}"
        case problem if problem != "range":
            message = f"must be {_words(typing.get_type_hints(kind)[str(key[-1])])}"
    for part in where.split("."):
        tree = tree[part]
    return f"{where}={_shown(tree)}: {message}"


def _words(hint: Any) -> str:
    """The type in words, for an error."""
    if hint == tuple[int, int]:
        return "a pair of integers such as [9,6]"
    if get_origin(hint) is Literal:
        return " or ".join(str(choice) for choice in get_args(hint))
    if get_origin(hint) is tuple:
        return f"a list, each {_words(get_args(hint)[0])}"
    simple = {bool: "true or false", int: "an integer", float: "a number", str: "a text"}
    if hint in simple:
        return simple[hint]
    if hint is type(None):
        return "null"
    return ", or ".join(_words(option) for option in get_args(hint))


def _shown(value: Any) -> str:
    return "null" if value is None else str(list(value) if isinstance(value, tuple) else value)
