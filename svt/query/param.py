"""Parse the declaration of a named query's parameter, and read its values.

    coverage DOUBLE share of the total [= trace.coverage]
    side VARCHAR{dest,src} token written into
    draws INTEGER{0..100000} draws of the bootstrap [= 400]

1. A declaration has name and type; in braces the choices, or the smallest and largest number; the
   meaning; and the default, as a literal or a key of the configuration. A key stands for the run's
   setting, or that of conf/ without a run, and its choices apply to the parameter. `other KEY` is
   the setting of the second target (svt-sql --other).
2. A value as text is converted to the type. A value outside the choices or bounds is refused.
"""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from svt.config import choices
from svt.defaults import default
from svt.errors import QueryError

_DECLARED = re.compile(
    r"^(?P<name>\w+) (?P<type>[A-Z]+(?:\[\])*)"
    r"(?:\{(?:(?P<low>-?\d+)\.\.(?P<high>-?\d+)|(?P<choices>\w+(?:,\w+)*))\})? "
    r"(?P<meaning>.*?)(?: \[= (?P<default>.*)\])?$"
)
_KEY = re.compile(r"^(?:other )?([a-z]+\.[a-z_]+)$")


@dataclass(frozen=True)
class Param:
    """A declared parameter; `default` is the header's text, None for a required parameter.

    With `choices`, a value must be one of them, not null; with `bounds`, it must lie within them.
    """

    name: str
    type: str
    meaning: str
    default: str | None
    choices: tuple[str, ...] = ()
    bounds: tuple[int, int] | None = None

    @property
    def key(self) -> str | None:
        """The configuration key that the default refers to, else None."""
        match = _KEY.match(self.default or "")
        return match[1] if match else None

    @property
    def fallback(self) -> Any:
        """The default without a run."""
        return self.default if self.key is None else default(self.key)

    @property
    def run(self) -> str:
        """The run that the default's key refers to: `run`, or `other run` for the second target."""
        return "other run" if (self.default or "").startswith("other ") else "run"

    @property
    def allowed(self) -> str:
        """The choices or bounds in braces, as in the header; empty without them."""
        text = f"{self.bounds[0]}..{self.bounds[1]}" if self.bounds else ",".join(self.choices)
        return f"{{{text}}}" if text else ""


def parse_param(query: str, line: str) -> Param:
    """Return the parameter that a header line declares (step 1); QueryError when it is invalid."""
    match = _DECLARED.match(line)
    if match is None or match["type"] not in _TYPES:
        raise QueryError(
            f"query {query}: its header declares a parameter that cannot be read: {line}"
        )
    words = tuple(match["choices"].split(",")) if match["choices"] else ()
    bounds = (int(match["low"]), int(match["high"])) if match["low"] else None
    param = Param(match["name"], match["type"], match["meaning"], match["default"], words, bounds)
    return replace(param, choices=choices(param.key)) if param.key else param


def read_value(query: str, param: Param, value: Any) -> Any:
    """Return `value` in the parameter's type (step 2); QueryError when it is invalid."""
    setting = f"query {query}: {param.name}={value}"
    if param.choices and value not in param.choices:
        words = " or ".join(filter(None, (", ".join(param.choices[:-1]), param.choices[-1])))
        raise QueryError(f"{setting} must be {words} ({param.meaning})")
    if value is None or (value == "null" and param.default and param.fallback in (None, "null")):
        return None
    reader, kind = _TYPES[param.type]
    try:
        read = reader(value)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise QueryError(f"{setting} is not {kind} ({param.meaning})") from error
    if param.bounds and not param.bounds[0] <= read <= param.bounds[1]:
        low, high = param.bounds
        raise QueryError(f"{setting} must lie in [{low}, {high}] ({param.meaning})")
    return read


def _integer(value: Any) -> int:
    if isinstance(value, bool) or (not isinstance(value, str) and int(value) != value):
        raise ValueError(value)
    return int(value)


def _double(value: Any) -> float:
    number = float(value)
    if isinstance(value, bool) or not math.isfinite(number):
        raise ValueError(value)
    return number


def _boolean(value: Any) -> bool:
    text = str(value).lower()
    if text not in ("true", "false"):
        raise ValueError(value)
    return text == "true"


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    value.encode()  # refuses a lone surrogate
    return value


def _heads(value: Any) -> list[list[int]]:
    heads = json.loads(value) if isinstance(value, str) else value
    if not isinstance(heads, list | tuple):
        raise TypeError(value)
    for pair in heads:
        if not isinstance(pair, list | tuple) or [type(number) for number in pair] != [int, int]:
            raise TypeError(value)
    return [list(pair) for pair in heads]


_TYPES: dict[str, tuple[Callable[[Any], Any], str]] = {
    "INTEGER": (_integer, "an integer"),
    "BIGINT": (_integer, "an integer"),
    "DOUBLE": (_double, "a number"),
    "BOOLEAN": (_boolean, "true or false"),
    "VARCHAR": (_text, "a text"),
    "INTEGER[][]": (_heads, "a list of [layer, head] such as [[9,6],[10,0]]"),
}
"""Functions that read the values of a type, and its name in messages."""
