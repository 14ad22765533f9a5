"""Charts as files: JSON, self-contained HTML, SVG and PNG, each whole or not there."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from svt.charts.page import render, vl_convert
from svt.charts.style import Chart, specification
from svt.errors import SvtError
from svt.files import write_atomically

PNG_SCALE = 2
"""Pixels for each unit of the chart."""


def export(chart: Chart, folder: Path, name: str, formats: Sequence[str]) -> tuple[Path, ...]:
    """Write `folder/name.<format>` for each of `formats` (json, html, svg, png); returns the paths.

    The same data give the same JSON bytes. HTML brings its scripts along and needs no network.
    """
    unknown = sorted(set(formats) - set(_WRITERS))
    if unknown:
        raise SvtError(
            f"chart.format: no such format {', '.join(unknown)}; known: {', '.join(_WRITERS)}"
        )
    return tuple(write_whole(folder / f"{name}.{kind}", _WRITERS[kind](chart)) for kind in formats)


def write_whole(path: Path, content: str | bytes) -> Path:
    """Write a file whole or not at all; SvtError if it cannot be written."""
    try:
        write_atomically(path, content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise SvtError(f"cannot write {path}: {error.strerror or error}") from error
    return path


def _json(chart: Chart) -> str:
    return (
        json.dumps(specification(chart), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
        + "\n"
    )


def _html(chart: Chart) -> str:
    return render("chart.html.j2", {"figure": specification(chart, palette=None)})


def _svg(chart: Chart) -> str:
    svg: str = vl_convert().vegalite_to_svg(specification(chart))
    return svg


def _png(chart: Chart) -> bytes:
    png: bytes = vl_convert().vegalite_to_png(specification(chart), scale=PNG_SCALE)
    return png


_WRITERS: dict[str, Callable[[Chart], str | bytes]] = {
    "json": _json,
    "html": _html,
    "svg": _svg,
    "png": _png,
}
