"""Parse names of nodes, as circuit tools write them.

- `(9, 6)` a head; `(9, 6, 'IO')` a head at a token that it reads; `(9, 6, ' to', ' Mary')` a firing
  from one token to another; `(3, 'MLP', ' to', ' to')` another component at a token;
  `('Logit direction', ' to')` the output. JSON writes tuples as lists.
- `a9.h6`, `m3`, `input`, `logits` (EAP-IG), and `a9.h6<k>` with the input.
- `9.6`, `L9H6`, `mlp 3`, `bias 3`, `embed`, `pos_embed`.

Tuples are read as Python literals, never evaluated.
"""

import ast
import re
from typing import Any

from svt.errors import DataError
from svt.importing.circuit import Node
from svt.importing.values import MAX_INDEX

_HEAD = re.compile(r"(?:a(\d+)\.h(\d+)|L(\d+)H(\d+)|(\d+)\.(\d+))", re.ASCII | re.IGNORECASE)
_IN_LAYER = re.compile(r"(m|mlp |bias )(\d+)", re.ASCII)
_READS = re.compile(r"(.*)<([qkv])>")
_NODES = {
    "input": Node("embed"),
    "embed": Node("embed"),
    "pos_embed": Node("pos_embed"),
    "logits": Node("output"),
}
_IN_TUPLE = {"MLP": "mlp", "AH bias": "bias", "Embedding": "embed", "AH offset": "other"}
_MAX_LENGTH = 500
_SURROGATE = re.compile("[\ud800-\udfff]")  # a lone surrogate, which no text may contain

FORMS = "(9, 6), (9, 6, 'IO'), a9.h6, 9.6, m3 or logits"


def parse_node(name: Any, place: str) -> Node:
    """Return the node with that name; DataError, which begins with `place`, for any other value."""
    if isinstance(name, list):
        return _parse_tuple(tuple(name), name, place)
    if not isinstance(name, str) or len(name) > _MAX_LENGTH:
        raise _unknown(name, place)
    if name in _NODES:
        return _NODES[name]
    if head := _HEAD.fullmatch(name):
        layer, number = (int(part) for part in head.groups() if part is not None)
        return Node("head", _check_index(layer, name, place), _check_index(number, name, place))
    if other := _IN_LAYER.fullmatch(name):
        component = "bias" if other[1].startswith("bias") else "mlp"
        return Node(component, _check_index(int(other[2]), name, place))
    if name.startswith("("):
        try:
            return _parse_tuple(ast.literal_eval(name), name, place)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
            raise _unknown(name, place) from error
    raise _unknown(name, place)


def split_reads(name: str) -> tuple[str, str | None]:
    """Split `a9.h6<k>` into `a9.h6` and k; a name without an input keeps None."""
    match = _READS.fullmatch(name)
    return (match[1], match[2]) if match else (name, None)


def _parse_tuple(parts: Any, name: Any, place: str) -> Node:
    if not isinstance(parts, tuple) or not 2 <= len(parts) <= 4:
        raise _unknown(name, place)
    first, second, *tokens = parts
    if not all(isinstance(token, str) and not _SURROGATE.search(token) for token in tokens):
        raise _unknown(name, place)
    if isinstance(first, str) and isinstance(second, str) and not tokens:
        return Node("output")
    layer = _check_index(first, name, place)
    if isinstance(second, str):
        if second not in _IN_TUPLE:
            raise _unknown(name, place)
        component = _IN_TUPLE[second]
        return Node(component, None if component == "embed" else layer, fine=str(name))
    head = _check_index(second, name, place)
    if len(tokens) == 2:
        return Node("head", layer, head, dest=tokens[0], src=tokens[1], fine=str(name))
    return Node("head", layer, head, role=tokens[0] if tokens else None)


def _check_index(value: Any, name: Any, place: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_INDEX:
        raise _unknown(name, place)
    return value


def _unknown(name: Any, place: str) -> DataError:
    text = str(name) if len(str(name)) <= 80 else f"{str(name)[:80]}..."
    return DataError(f"{place}: node {text} is not known; nodes are named like {FORMS}")
