import json
import re
import sys
from functools import partial
from xml.etree import ElementTree

import altair as alt
import polars as pl
import pytest

from svt.charts.export import Look, _flatten, export
from svt.charts.graph import graph
from svt.charts.page import vl_convert
from svt.charts.style import LIGHT, config, for_notebook, inline, specification
from svt.errors import SvtError
from tests.charts.frames import loads_nothing

bare = partial(specification, palette=None)


def test_every_format_is_written(tmp_path, edges, nodes):
    paths = export(
        bare(graph(edges, nodes)),
        tmp_path / "charts",
        "graph",
        ("json", "html", "svg", "png", "pdf"),
    )
    assert [p.suffix for p in paths] == [".json", ".html", ".svg", ".png", ".pdf"]
    assert {p.stem for p in paths} == {"graph"}
    assert sorted(p.name for p in (tmp_path / "charts").iterdir()) == sorted(p.name for p in paths)
    as_json, html, svg, png, pdf = (p.read_bytes() for p in paths)
    assert json.loads(as_json)["config"] == config(LIGHT)
    assert b"<svg" in svg and b"1.1" in svg
    assert png.startswith(b"\x89PNG")
    assert pdf.startswith(b"%PDF-")
    assert loads_nothing(html.decode())


def test_pictures_are_scaled_as_a_whole_and_json_is_not(tmp_path, edges, nodes):
    """Half as wide is half as high; of 100 by 9999 the width decides; the letters scale along."""
    spec = bare(graph(edges, nodes))
    (plain,) = export(spec, tmp_path, "plain", ("svg",))
    size = {
        key: float(ElementTree.parse(plain).getroot().attrib[key]) for key in ("width", "height")
    }
    looks = {"half": Look(width=round(size["width"] / 2)), "both": Look(width=100, height=9999)}
    for name, look in looks.items():
        svg, png = export(spec, tmp_path, name, ("svg", "png"), look)
        root, factor = ElementTree.parse(svg).getroot(), look.width / size["width"]
        assert float(root.attrib["width"]) == pytest.approx(look.width)
        assert float(root.attrib["height"]) == pytest.approx(size["height"] * factor, abs=0.01)
        assert root.attrib["viewBox"] == ElementTree.parse(plain).getroot().attrib["viewBox"]
        wide = int.from_bytes(png.read_bytes()[16:20])
        assert wide == pytest.approx(2 * look.width, abs=2)
    one, other = (
        export(spec, tmp_path, n, ("json",), k)[0] for n, k in (("a", Look()), ("b", look))
    )
    assert one.read_bytes() == other.read_bytes()


def test_text_stays_text_in_the_chosen_font(tmp_path, edges, nodes):
    spec = bare(graph(edges, nodes))
    svg, html = export(spec, tmp_path, "x", ("svg", "html"), Look(font="Times New Roman"))
    texts = list(ElementTree.parse(svg).getroot().iter("{http://www.w3.org/2000/svg}text"))
    assert {"Traced graph", "S2"} <= {text.text for text in texts}
    assert all(text.attrib["font-family"].startswith("Times New Roman, ") for text in texts)
    assert "Times New Roman, system-ui" in html.read_text()


def test_the_same_data_give_the_same_json(tmp_path, edges, nodes):
    once, again = (export(bare(graph(edges, nodes)), tmp_path, name, ("json",))[0] for name in "ab")
    assert once.read_bytes() == again.read_bytes()


def test_more_rows_than_altair_allows(tmp_path):
    chart = alt.Chart(pl.DataFrame({"a": range(6000)})).mark_point().encode(x="a:Q")
    (path,) = export(bare(chart), tmp_path, "many", ("json",))
    assert len(next(iter(json.loads(path.read_text())["datasets"].values()))) == 6000


def test_an_unknown_format_is_refused_before_any_write(tmp_path):
    with pytest.raises(SvtError, match="no such format gif; known: json, html, svg, png, pdf"):
        export({}, tmp_path, "x", ("json", "gif"))
    assert list(tmp_path.iterdir()) == []


def test_a_missing_renderer_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "vl_convert", None)
    with pytest.raises(SvtError, match="pip install vl-convert-python"):
        export(bare(alt.Chart(inline([{}])).mark_point()), tmp_path, "x", ("png",))
    assert list(tmp_path.iterdir()) == []


def test_a_chart_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(SvtError, match="cannot write"):
        export(bare(alt.Chart(inline([{}])).mark_point()), tmp_path / "file", "x", ("json",))


@pytest.mark.parametrize("text", ["\x1b[31m", "\x07", "\ufffe", "\x00"])
def test_any_token_can_be_drawn(tmp_path, text):
    """The renderer ends the process at such a text."""
    rows = inline([{"token": text, "n": 1}])
    chart = alt.Chart(rows, title=text).mark_bar().encode(x="n:Q", y="token:N")
    svg, png = export(bare(chart), tmp_path, "x", ("svg", "png"))
    ElementTree.parse(svg)
    assert png.read_bytes().startswith(b"\x89PNG")


def test_a_notebook_has_altairs_own_chart(edges, nodes):
    """With the colours of a file; characters that crash the renderer are replaced."""
    chart = for_notebook(graph(edges, nodes))
    assert isinstance(chart.layer[0], alt.Chart)
    assert chart.to_dict()["config"] == config(LIGHT)
    rows = inline([{"token": "\x1b[31m", "n": 1}])
    odd = for_notebook(alt.Chart(rows, title="\x07").mark_bar().encode(x="n:Q", y="token:N"))
    assert odd.to_dict()["config"] == config(LIGHT)
    assert not {"\x1b", "\x07"} & set(str(odd.to_json()).encode().decode("unicode_escape"))


def test_a_renderer_that_fails_is_one_line(tmp_path):
    with pytest.raises(SvtError, match=r"x\.svg cannot be drawn .*choose chart\.format") as error:
        export({"mark": "no such mark", "encoding": 3}, tmp_path, "x", ("svg",))
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_a_mark_seen_through_needs_no_layer():
    chart = alt.Chart(inline([{"x": 1, "y": 1}, {"x": 2, "y": 2}])).encode(x="x:Q", y="y:Q")
    svg = vl_convert().vegalite_to_svg(bare(chart.mark_point(filled=True, size=400, opacity=0.4)))
    flat = _flatten(svg)
    assert svg.count(' opacity="0.4"') == 2
    assert flat.count(' fill-opacity="0.4" stroke-opacity="0.4"') == 2
    assert not re.search(r"<(path|text|line|rect)[^>]* opacity=", flat)
