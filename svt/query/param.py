"""One parameter of a named query: how a header declares it, and how a value of it is read.

    coverage DOUBLE share of the total [= trace.coverage]
    side VARCHAR{dest,src} token written into
    draws INTEGER{0..100000} draws of the bootstrap [= 400]

1. Name and type; in braces the choices that there are, or the least and the greatest number; the
   meaning; the default, as text or as a key of the configuration, which is the run's own value or
   else that of conf/, and whose choices are the parameter's. `other KEY` is the key of the second
   target (svt-sql --other).
2. A value given as text is read as the type. One out of choices or bounds is refused.
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
    """One declared parameter; `default` stands as in the header, None when it must be given.

    With `choices`, a value is one of them, and never null; with `bounds`, it lies in them.
    """

    name: str
    type: str
    meaning: str
    default: str | None
    choices: tuple[str, ...] = ()
    bounds: tuple[int, int] | None = None

    @property
    def key(self) -> str | None:
        """The key of the configuration that is the default, if one is."""
        match = _KEY.match(self.default or "")
        return match[1] if match else None

    @property
    def fallback(self) -> Any:
        """The default where no run decides it."""
        return self.default if self.key is None else default(self.key)

    @property
    def run(self) -> str:
        """Whose key the default is: `run`, or `other run` for the second target."""
        return "other run" if (self.default or "").startswith("other ") else "run"

    @property
    def allowed(self) -> str:
        """Choices or bounds as the header has them, with the braces; empty without."""
        told = f"{self.bounds[0]}..{self.bounds[1]}" if self.bounds else ",".join(self.choices)
        return f"{{{told}}}" if told else ""


def declared(query: str, line: str) -> Param:
    """Step 1: the parameter that a line of a query's header declares."""
    match = _DECLARED.match(line)
    if match is None or match["type"] not in _READERS:
        raise QueryError(
            f"query {query}: its header declares a parameter that cannot be read: {line}"
        )
    words = tuple(match["choices"].split(",")) if match["choices"] else ()
    bounds = (int(match["low"]), int(match["high"])) if match["low"] else None
    param = Param(match["name"], match["type"], match["meaning"], match["default"], words, bounds)
    return replace(param, choices=choices(param.key)) if param.key else param


def read_value(query: str, param: Param, value: Any) -> Any:
    """Step 2: `value` as one of the parameter's type; QueryError when it is none."""
    told = f"query {query}: {param.name}={value}"
    if param.choices and value not in param.choices:
        raise QueryError(f"{told} must be {_either(param.choices)} ({param.meaning})")
    if value is None or (value == "null" and param.default and param.fallback in (None, "null")):
        return None
    try:
        read = _READERS[param.type](value)
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise QueryError(f"{told} is not {_TYPES[param.type]} ({param.meaning})") from error
    if param.bounds and not param.bounds[0] <= read <= param.bounds[1]:
        low, high = param.bounds
        raise QueryError(f"{told} must lie in [{low}, {high}] ({param.meaning})")
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
    told = str(value).lower()
    if told not in ("true", "false"):
        raise ValueError(value)
    return told == "true"


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(value)
    value.encode()  # half of a character is none
    return value


def _heads(value: Any) -> list[list[int]]:
    given = json.loads(value) if isinstance(value, str) else value
    if not isinstance(given, list | tuple):
        raise TypeError(value)
    for pair in given:
        if not isinstance(pair, list | tuple) or [type(number) for number in pair] != [int, int]:
            raise TypeError(value)
    return [list(pair) for pair in given]


_READERS: dict[str, Callable[[Any], Any]] = {
    "INTEGER": _integer,
    "BIGINT": _integer,
    "DOUBLE": _double,
    "BOOLEAN": _boolean,
    "VARCHAR": _text,
    "INTEGER[][]": _heads,
}
_TYPES = {
    "INTEGER": "an integer",
    "BIGINT": "an integer",
    "DOUBLE": "a number",
    "BOOLEAN": "true or false",
    "VARCHAR": "a text",
    "INTEGER[][]": "a list of [layer, head] such as [[9,6],[10,0]]",
}


def _either(choices: tuple[str, ...]) -> str:
    return " or ".join(filter(None, (", ".join(choices[:-1]), choices[-1])))
