"""The door of the configuration: what Hydra composed becomes frozen dataclasses, or is refused.

1. Every key of the composed tree must be a field of its dataclass; every field must be there.
2. Every value must have the field's type; nothing is converted but an integer given for a float.
3. Every value must lie in its range, and the settings must agree with one another.

Beyond this module nobody sees an OmegaConf object.
"""

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args, get_origin

from svt.errors import SvtError
from svt.words import Component, Count, Kind, Scope

Stage = Literal["dump", "reference", "trace", "intervene", "evaluate", "chart", "report"]
_NEED_PATH = {
    "file": "needs a file: add dataset.path=FILE",
    "store": "needs a store or a run folder: add dataset.path=STORE",
    "hub": "needs the name of a dataset, or a folder: add dataset.path=OWNER/NAME",
}
_COUNTERFACTUALS = {
    "ioi": ("swapped", "abc"),
    "greater_than": ("year01",),
    "gendered_pronoun": ("swapped",),
}
Head = tuple[int, int]
_MOST = 10**18  # of an integer: 64 bits, also with the repeats that are added to a seed


def _between(low: float, high: float, open_low: bool = False) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        if value is None or ((low < value if open_low else low <= value) and value <= high):
            return None
        return f"must lie in {'(' if open_low else '['}{low:g}, {high:g}]"

    return check


def _at_least(low: int, most: int = _MOST) -> Callable[[Any], str | None]:
    def check(value: Any) -> str | None:
        if value is None or low <= value <= most:
            return None
        return f"must be at least {low}" if value < low else f"must be at most {most}"

    return check


def _filled(value: Any) -> str | None:
    return None if value is None or value else "must not be empty"


@dataclass(frozen=True)
class RunConfig:
    path: str | None


@dataclass(frozen=True)
class StoreConfig:
    dir: str
    path: Annotated[str | tuple[str, ...] | None, _filled]


@dataclass(frozen=True)
class ModelConfig:
    name: Annotated[str, _filled]
    path: str | None
    revision: str | None
    device: Annotated[str, _filled]
    dtype: Literal["float32", "float64", "bfloat16", "float16"]


@dataclass(frozen=True)
class DatasetConfig:
    name: Literal["ioi", "greater_than", "gendered_pronoun", "file", "store", "hub", "text"]
    path: str | None
    split: Annotated[str, _filled]
    revision: str | None
    n_prompts: Annotated[int | None, _at_least(1)]
    n_tokens: Annotated[int, _at_least(2)]
    bos: Literal["auto", "always", "never"]
    seed: Annotated[int, _at_least(0)]
    pattern: Literal["mixed", "ABBA", "BABA"]
    counterfactual: Literal["none", "swapped", "abc", "year01"]
    only_correct: bool
    templates: str | None
    names: str | None
    nouns: str | None
    shard: Annotated[int, _at_least(0)]
    n_shards: Annotated[int, _at_least(1)]


@dataclass(frozen=True)
class DumpConfig:
    min_weight: Annotated[float, _between(0, 1)]
    pairs: Literal["eligible", "all"]
    sample: Annotated[float, _between(0, 1)]
    seed: Annotated[int, _at_least(0)]
    batch_size: Annotated[int, _at_least(1)]
    memory_gb: Annotated[float, _between(0.001, 1e6)]
    components: Annotated[tuple[Component, ...], _filled]
    all_slices: bool
    effects: bool
    coordinates: Literal["none", "all"] | tuple[Head, ...]


@dataclass(frozen=True)
class TraceConfig:
    firing_weight: Annotated[float, _between(0, 1, open_low=True)]
    coverage: Annotated[float, _between(0, 1)]
    slices: Literal["signal", "all"]
    nonpositive: Literal["none", "top"]
    components: Literal["head", "all"]
    offset: Literal["exclude", "include"]
    roots: Annotated[Literal["auto"] | tuple[Head, ...], _filled]
    root_dest: Annotated[str, _filled]
    root_src: Annotated[str, _filled]
    count: Count
    min_share: Annotated[float, _between(0, 1)]
    min_count: Annotated[int | None, _at_least(1)]


@dataclass(frozen=True)
class EvaluateConfig:
    reference: Annotated[str, _filled]
    edges: Literal["all", "validated"]


@dataclass(frozen=True)
class InterveneConfig:
    edges: Annotated[str, _filled]
    sets: str | None
    scopes: Annotated[tuple[Scope, ...], _filled]
    kinds: Annotated[tuple[Kind, ...], _filled]
    strength: Annotated[float, _between(0, 1000)]
    homogeneous: bool
    local_base: Literal["live", "clean"]
    repeats: Annotated[int, _between(0, 10_000)]
    seed: Annotated[int, _at_least(0)]
    faithfulness: Literal["mean", "resample", "none"]
    batch_size: Annotated[int, _at_least(1)]


@dataclass(frozen=True)
class ReferenceConfig:
    ablation: Literal["mean", "zero", "resample"]
    threshold: Annotated[float, _between(0, 1)]
    seed: Annotated[int, _at_least(0)]


@dataclass(frozen=True)
class ChartConfig:
    figures: Annotated[Literal["default", "all"] | tuple[str, ...], _filled]
    format: tuple[Literal["json", "html", "svg", "png"], ...]
    heads: Annotated[tuple[Head, ...] | None, _filled]
    dest_role: str | None
    src_role: str | None
    prompt_id: Annotated[int | None, _at_least(0, 2**31 - 1)]
    min_firings: Annotated[int, _at_least(1)]
    compare_store: str | None


@dataclass(frozen=True)
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


def from_mapping(tree: Mapping[str, Any]) -> Config:
    """The composed configuration as a Config; SvtError names the first key that is wrong."""
    config: Config = _build(Config, tree, "")
    _agree(config)
    return config


def to_mapping(config: Any) -> dict[str, Any]:
    """A dataclass of this module as plain JSON values; `from_mapping` takes it back."""
    return dataclasses.asdict(config)


def _agree(config: Config) -> None:
    """Step 3: settings that only make sense together."""
    if config.dataset.shard >= config.dataset.n_shards:
        raise SvtError(
            f"dataset.shard={config.dataset.shard}: shards count from 0, so the last of "
            f"dataset.n_shards={config.dataset.n_shards} is {config.dataset.n_shards - 1}"
        )
    if config.dataset.path is None and config.dataset.name in _NEED_PATH:
        raise SvtError(f"dataset={config.dataset.name} {_NEED_PATH[config.dataset.name]}")
    kinds = _COUNTERFACTUALS.get(config.dataset.name, ())
    if config.dataset.counterfactual not in ("none", *kinds):
        has = f"has {' and '.join(kinds)}" if kinds else "has no counterfactual prompts"
        raise SvtError(
            f"dataset.counterfactual={config.dataset.counterfactual}: "
            f"dataset={config.dataset.name} {has}"
        )
    repeated = {c for c in config.dump.components if config.dump.components.count(c) > 1}
    if repeated:
        raise SvtError(f"dump.components names {', '.join(sorted(repeated))} more than once")


def _build(kind: Any, tree: Any, at: str) -> Any:
    if not isinstance(tree, Mapping):
        raise SvtError(f"{at or 'the configuration'} must be a group of keys, not {tree!r}")
    known = {f.name: f for f in dataclasses.fields(kind)}
    for key in tree:
        if key not in known:  # 1
            raise SvtError(f"unknown key {_dotted(at, key)}; known here: {', '.join(known)}")
    hints = typing.get_type_hints(kind, include_extras=True)
    values = {}
    for name in known:
        where = _dotted(at, name)
        if name not in tree:
            raise SvtError(f"{where} is missing")
        if dataclasses.is_dataclass(hints[name]):
            values[name] = _build(hints[name], tree[name], where)
        else:
            hint, *checks = _parts(hints[name])
            values[name] = _value(hint, tree[name], where)
            for check in checks:
                if wrong := check(values[name]):
                    raise SvtError(f"{where}={_shown(tree[name])}: {wrong}")  # 3
    return kind(**values)


def _parts(hint: Any) -> tuple[Any, ...]:
    """A hint and the range checks annotated on it."""
    return get_args(hint) if get_origin(hint) is Annotated else (hint,)


def _value(hint: Any, value: Any, where: str) -> Any:
    """Step 2: `value` as the type `hint`, or SvtError."""
    for option in _options(hint):
        fits, result = _fit(option, value)
        if fits:
            return result
    raise SvtError(f"{where}={_shown(value)}: must be {_told(hint)}")


def _options(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (typing.Union, types.UnionType) else (hint,)


def _fit(hint: Any, value: Any) -> tuple[bool, Any]:
    if get_origin(hint) is Literal:
        return value in get_args(hint) and isinstance(value, str), value
    if get_origin(hint) is tuple:
        return _fit_sequence(get_args(hint), value)
    if hint is type(None):
        return value is None, None
    if hint is float:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number, float(str(value)) if number else None  # of any size: too large is infinite
    return isinstance(value, hint) and not (hint is int and isinstance(value, bool)), value


def _fit_sequence(parts: tuple[Any, ...], value: Any) -> tuple[bool, Any]:
    if not isinstance(value, list | tuple):
        return False, None
    kinds = [parts[0]] * len(value) if parts[-1] is Ellipsis else list(parts)
    if len(kinds) != len(value):
        return False, None
    fits = [_fit(kind, item) for kind, item in zip(kinds, value, strict=True)]
    return all(ok for ok, _ in fits), tuple(item for _, item in fits)


def _told(hint: Any) -> str:
    """The type in words, for an error."""
    if hint == Head:
        return "[layer, head]"
    if get_origin(hint) is Literal:
        return " or ".join(str(choice) for choice in get_args(hint))
    if get_origin(hint) is tuple:
        inner = (
            "a pair of integers such as [9,6]"
            if get_args(hint)[0] == Head
            else _told(get_args(hint)[0])
        )
        return f"a list, each {inner}"
    names = {
        bool: "true or false",
        int: "an integer",
        float: "a number",
        str: "a text",
        type(None): "null",
    }
    if hint in names:
        return names[hint]
    return ", or ".join(_told(option) for option in _options(hint))


def _shown(value: Any) -> str:
    return "null" if value is None else str(list(value) if isinstance(value, tuple) else value)


def _dotted(at: str, key: object) -> str:
    return f"{at}.{key}" if at else str(key)
