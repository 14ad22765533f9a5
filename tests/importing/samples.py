"""Small circuits in the formats of other tools."""

from collections.abc import Sequence
from xml.sax.saxutils import quoteattr

from svt.config import Head

KEYS = """\
  <key id="d9" for="edge" attr.name="total" attr.type="long" />
  <key id="d8" for="edge" attr.name="weight" attr.type="long" />
  <key id="d7" for="edge" attr.name="dest_token" attr.type="string" />
  <key id="d6" for="edge" attr.name="src_token" attr.type="string" />
  <key id="d5" for="edge" attr.name="prompt" attr.type="long" />
  <key id="d4" for="edge" attr.name="count" attr.type="long" />
  <key id="d3" for="edge" attr.name="type" attr.type="string" />
  <key id="d2" for="edge" attr.name="total" attr.type="float" />
  <key id="d1" for="edge" attr.name="weight" attr.type="float" />
  <key id="d0" for="node" attr.name="nfiring" attr.type="long" />
"""
"""As networkx declares them: a name is there twice if its values have two types."""

Edge = tuple[Head, Head, str, str, int]
"""Upstream, downstream, role of the token written into, side, count."""


def graphml(body: str, keys: str = KEYS, attributes: str = 'edgedefault="directed"') -> str:
    return (
        "<?xml version='1.0' encoding='utf-8'?>\n"
        '<graphml xmlns="http://graphml.graphdrawing.org/xmlns">\n'
        f"{keys}  <graph {attributes}>\n{body}  </graph>\n</graphml>\n"
    )


def published(edges: Sequence[Edge], other: str = "end") -> str:
    """Return edges in the scheme of the published graph with `other` as other token of firings."""
    heads = dict.fromkeys(head for up, down, *_ in edges for head in (up, down))
    at = dict.fromkeys((*down, role) for _, down, role, *_ in edges)
    lines = [node(str(name)) for name in (*heads, *at)]
    for up, down, role, side, count in edges:
        src, dest = (role, other) if side == "src" else (other, role)
        lines.append(
            edge(str(up), str((*down, role)), d1=0.5, d2=0.5 * count, d3=side[0], d4=count, d5=7,
                 d6=src, d7=dest)
        )  # fmt: skip
    for layer, head, role in at:
        lines.append(
            edge(str((layer, head, role)), str((layer, head)), d8=2000, d9=2000, d4=9, d3="s",
                 d6=role, d7=other)
        )  # fmt: skip
    return graphml("".join(lines))


def node(name: str, **data: object) -> str:
    return f"    <node id={quoteattr(name)}>\n{_data(data)}    </node>\n"


def edge(source: str, target: str, **data: object) -> str:
    ends = f"source={quoteattr(source)} target={quoteattr(target)}"
    return f"    <edge {ends}>\n{_data(data)}    </edge>\n"


def _data(data: dict[str, object]) -> str:
    return "".join(f'      <data key="{key}">{value}</data>\n' for key, value in data.items())
