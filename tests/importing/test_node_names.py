"""Names of nodes: what they mean, and that any other text is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from svt.errors import SvtError
from svt.importing.circuit import Node
from svt.importing.nodes import parse_node, split_reads

HEADS = st.integers(0, 255)


@pytest.mark.parametrize(
    ("name", "node"),
    [
        ("(9, 6)", Node("head", 9, 6)),
        ("(9, 6, 'S1+1')", Node("head", 9, 6, role="S1+1")),
        ('(9, 6, "it\'s")', Node("head", 9, 6, role="it's")),
        ([9, 6, "IO"], Node("head", 9, 6, role="IO")),
        (
            "(9, 6, ' to', ' Mary')",
            Node("head", 9, 6, dest=" to", src=" Mary", fine="(9, 6, ' to', ' Mary')"),
        ),
        ("(3, 'MLP', ' a', ' a')", Node("mlp", 3, fine="(3, 'MLP', ' a', ' a')")),
        ("(3, 'AH bias', ' a', ' a')", Node("bias", 3, fine="(3, 'AH bias', ' a', ' a')")),
        ("(0, 'Embedding', ' a', ' a')", Node("embed", fine="(0, 'Embedding', ' a', ' a')")),
        ("(0, 'AH offset', ' a', ' a')", Node("other", 0, fine="(0, 'AH offset', ' a', ' a')")),
        ("('Logit direction', ' to')", Node("output")),
        ("a9.h6", Node("head", 9, 6)),
        ("A9.H6", Node("head", 9, 6)),
        ("L10H0", Node("head", 10, 0)),
        ("9.10", Node("head", 9, 10)),
        ("m3", Node("mlp", 3)),
        ("mlp 3", Node("mlp", 3)),
        ("bias 11", Node("bias", 11)),
        ("input", Node("embed")),
        ("pos_embed", Node("pos_embed")),
        ("logits", Node("output")),
    ],
)
def test_names(name: object, node: Node) -> None:
    assert parse_node(name, "here") == node


@pytest.mark.parametrize(
    "name",
    [
        "", "head", "9", "9.6.1", "-1.2", "a9h6", "9.256", "(256, 0)", "(9, -1)", "(9,)", "(9, 6",
        "(9, 6, 'a', 'b', 'c')", "(9, 6, 3)", "(True, 6)", "(9.0, 6)", "(9, 'Head', 'a', 'a')",
        "(9, 6, __import__('os').getcwd())", "(9, 6, *[1])", "(" * 400, "9" * 600, "٩.6", None, 7,
        {"layer": 9}, [], [9, "x"], "m٣",
        [9, 6, "\ud800"], "(9, 6, '\\ud800')",
    ],
)  # fmt: skip
def test_other_names_are_refused_with_their_place(name: object) -> None:
    with pytest.raises(SvtError, match=r"^here: node .* is not known; nodes are named like"):
        parse_node(name, "here")


@given(st.text(max_size=30) | st.lists(st.integers() | st.text(max_size=5), max_size=5))
def test_any_text_is_a_node_or_refused(name: object) -> None:
    try:
        node = parse_node(name, "here")
    except SvtError:
        return
    assert node.component in ("head", "mlp", "bias", "embed", "pos_embed", "output", "other")


@given(HEADS, HEADS, st.text(max_size=8))
def test_a_head_and_role_is_read_as_python_writes_it(layer: int, head: int, role: str) -> None:
    assert parse_node(str((layer, head, role)), "") == Node("head", layer, head, role=role)
    assert parse_node(f"a{layer}.h{head}", "").at == (layer, head)


def test_an_input_is_split_from_the_name() -> None:
    assert split_reads("a9.h6<k>") == ("a9.h6", "k")
    assert split_reads("m3") == ("m3", None)
    assert split_reads("a9.h6<z>") == ("a9.h6<z>", None)
