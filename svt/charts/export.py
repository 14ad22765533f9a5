"""Export of charts to JSON, self-contained HTML, SVG, PNG and PDF, with atomic writes."""

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
"""Pixels for each pixel of the chart's own size."""

_MARK = re.compile(r"<(?:path|text|line|rect)\b(?![^>]*(?:fill|stroke)-opacity)[^>]*>")
_SIZE = re.compile(r' (width|height)="([\d.]+)"')
_OPACITY = re.compile(r' opacity="([^"]*)"')
_BOTH = r' fill-opacity="\1" stroke-opacity="\1"'


@dataclass(frozen=True)
class Look:
    """The font of files, and the width and height in pixels that svg, png and pdf are scaled to.

    The aspect ratio is kept: with width and height, the picture is the largest that fits both.
    """

    width: int | None = None
    height: int | None = None
    font: str | None = None


def export(
    spec: Spec, folder: Path, name: str, formats: Sequence[str], look: Look = Look()
) -> tuple[Path, ...]:
    """Write `folder/name.<format>` for each of `formats`, keys of _WRITERS; return the paths.

    spec: a specification without colours, such as `Figure.spec`. The same specification gives the
    same bytes of JSON. HTML files contain their scripts and need no network.
    ConfigError for an unknown format, SvtError if a file cannot be drawn or written.
    """
    unknown = sorted(set(formats) - set(_WRITERS))
    if unknown:
        raise ConfigError(
            f"chart.format: no such format {', '.join(unknown)}; known: {', '.join(_WRITERS)}"
        )
    return tuple(
        write_file(folder / f"{name}.{kind}", _render(spec, name, kind, look)) for kind in formats
    )


def _render(spec: Spec, name: str, kind: str, look: Look) -> str | bytes:
    """Return the chart in a format; SvtError if the renderer fails."""
    try:
        return _WRITERS[kind](spec, look)
    except (SvtError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # a panic of the renderer is not an Exception
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise SvtError(
            f"{name}.{kind} cannot be drawn ({reason}); choose chart.format=[json,html], or other "
            "chart.figures"
        ) from error


def write_file(path: Path, content: str | bytes) -> Path:
    """Write a file atomically and return its path; SvtError if it cannot be written."""
    try:
        write_atomically(path, content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise SvtError(f"cannot write {path}: {error.strerror or error}") from error
    return path


def _json(spec: Spec, look: Look) -> str:
    text = json.dumps(_light(spec, look), sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return text + "\n"


def _svg(spec: Spec, look: Look) -> str:
    svg: str = vl_convert().vegalite_to_svg(_light(spec, look))
    return _scale(svg, look)


def _scale(svg: str, look: Look) -> str:
    """Return the picture in the size of `look`; its view box is unchanged, so that text scales."""
    head, tag, body = svg.partition(">")
    sizes = {name: float(value) for name, value in _SIZE.findall(head)}
    factors = [wanted / sizes[at] for at in sizes if (wanted := getattr(look, at)) is not None]
    if not factors:
        return svg
    scale = min(factors)
    return _SIZE.sub(lambda m: f' {m[1]}="{float(m[2]) * scale:.2f}"', head) + tag + body


def _flatten(svg: str) -> str:
    """Return the same picture with each mark's opacity moved to its fill and stroke.

    The rasteriser allocates a layer of the size of the picture for every mark with an opacity.
    """
    return _MARK.sub(lambda mark: _OPACITY.sub(_BOTH, mark[0]), svg)


def _light(spec: Spec, look: Look) -> Spec:
    return spec | {"config": config(LIGHT, look.font)}


_WRITERS: dict[str, Callable[[Spec, Look], str | bytes]] = {
    "json": _json,
    "html": lambda spec, look: render("chart.html.j2", {"figure": spec}, look.font),
    "svg": _svg,
    "png": lambda spec, look: vl_convert().svg_to_png(_flatten(_svg(spec, look)), scale=PNG_SCALE),
    "pdf": lambda spec, look: vl_convert().svg_to_pdf(_flatten(_svg(spec, look))),
}
