"""Charts as files: JSON, self-contained HTML, SVG, PNG and PDF, each whole or not there."""

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from svt.charts.page import render, vl_convert
from svt.charts.style import LIGHT, config
from svt.errors import ConfigError, SvtError
from svt.system.atomic import write_atomically

Spec = dict[str, Any]

PNG_SCALE = 2
"""Pixels for each unit of the chart."""

_MARK = re.compile(r"<(?:path|text|line|rect)\b(?![^>]*(?:fill|stroke)-opacity)[^>]*>")
_SIZE = re.compile(r' (width|height)="([\d.]+)"')
_OPACITY = re.compile(r' opacity="([^"]*)"')
_BOTH = r' fill-opacity="\1" stroke-opacity="\1"'


@dataclass(frozen=True)
class Look:
    """How files look: `font`, and the pixels that svg, png and pdf are scaled to, as a whole.

    With width and height the picture, which keeps its shape, is as large as fits into both.
    """

    width: int | None = None
    height: int | None = None
    font: str | None = None


def export(
    spec: Spec, folder: Path, name: str, formats: Sequence[str], look: Look = Look()
) -> tuple[Path, ...]:
    """Write `folder/name.<format>` for each of `formats`, keys of _WRITERS; return the paths.

    `spec` is a chart's specification without a palette, as a figure has it.
    The same data give the same JSON bytes. HTML brings its scripts along and needs no network.
    """
    unknown = sorted(set(formats) - set(_WRITERS))
    if unknown:
        raise ConfigError(
            f"chart.format: no such format {', '.join(unknown)}; known: {', '.join(_WRITERS)}"
        )
    return tuple(
        write_whole(folder / f"{name}.{kind}", _rendered(spec, name, kind, look))
        for kind in formats
    )


def _rendered(spec: Spec, name: str, kind: str, look: Look) -> str | bytes:
    """The chart in a format; SvtError when the renderer fails."""
    try:
        return _WRITERS[kind](spec, look)
    except (SvtError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # the renderer's panics are no Exceptions
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise SvtError(
            f"{name}.{kind} cannot be drawn ({reason}); choose chart.format=[json,html], or other "
            "chart.figures"
        ) from error


def write_whole(path: Path, content: str | bytes) -> Path:
    """Write a file whole or not at all; SvtError if it cannot be written."""
    try:
        write_atomically(path, content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise SvtError(f"cannot write {path}: {error.strerror or error}") from error
    return path


def _json(spec: Spec, look: Look) -> str:
    text = json.dumps(_light(spec, look), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return text + "\n"


def _html(spec: Spec, look: Look) -> str:
    return render("chart.html.j2", {"figure": spec}, look.font)


def _svg(spec: Spec, look: Look) -> str:
    svg: str = vl_convert().vegalite_to_svg(_light(spec, look))
    return _scaled(svg, look)


def _scaled(svg: str, look: Look) -> str:
    """Return the picture in the size of `look`; its view box stays, so that all of it scales."""
    head, tag, body = svg.partition(">")
    sizes = {name: float(value) for name, value in _SIZE.findall(head)}
    factors = [wanted / sizes[at] for at in sizes if (wanted := getattr(look, at)) is not None]
    if not factors:
        return svg
    scale = min(factors)
    return _SIZE.sub(lambda m: f' {m[1]}="{float(m[2]) * scale:.2f}"', head) + tag + body


def _png(spec: Spec, look: Look) -> bytes:
    return vl_convert().svg_to_png(_flattened(_svg(spec, look)), scale=PNG_SCALE)


def _flattened(svg: str) -> str:
    """Return the same picture with opacities of fills and strokes in place of whole marks'.

    A rasteriser makes a layer as large as the picture for every mark that is seen through.
    """
    return _MARK.sub(lambda mark: _OPACITY.sub(_BOTH, mark[0]), svg)


def _pdf(spec: Spec, look: Look) -> bytes:
    return vl_convert().svg_to_pdf(_flattened(_svg(spec, look)))


def _light(spec: Spec, look: Look) -> Spec:
    return spec | {"config": config(LIGHT, look.font)}


_WRITERS: dict[str, Callable[[Spec, Look], str | bytes]] = {
    "json": _json,
    "html": _html,
    "svg": _svg,
    "png": _png,
    "pdf": _pdf,
}
