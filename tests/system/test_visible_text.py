"""Texts of others on a terminal and in XML."""

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from svt.system.text import make_drawable, make_visible


def test_no_control_character_acts() -> None:
    assert make_visible("a\x1b[2Jb\x07\x7f\x9b\u202e\r\tc\n") == "a␛[2Jb␇␡\ufffd\ufffd␍\tc\n"
    assert make_visible(" Mary é 日本 🙂") == " Mary é 日本 🙂"


@given(st.text(st.characters()))
def test_any_text_becomes_valid_xml(text: str) -> None:
    root = ElementTree.Element("a")
    root.text = make_drawable(text)
    ElementTree.fromstring(ElementTree.tostring(root, encoding="utf-8"))


def test_texts_in_lists_and_keys() -> None:
    assert make_drawable({"a\x00": ["\x1b", 1, None, ("\ufffe",)]}) == {
        "a␀": ["␛", 1, None, ["\ufffd"]]
    }
