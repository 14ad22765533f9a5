"""Charts in an HTML page that needs nothing else.

1. A chart is stored as data without text and paper colours; the page's style sheet colours it, so
   that dark mode and print are the same drawing.
2. Vega, Vega-Lite and Embed are included once, for all charts of the page.
3. The page forbids itself the network (Content-Security-Policy), so it cannot come to depend on it.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import jinja2

from svt.charts.style import PAGE, config
from svt.errors import SvtError


def render(
    template: str, specs: Mapping[str, dict[str, Any]], font: str | None = None, **values: Any
) -> str:
    """The page of `template`; each Vega-Lite spec is drawn into the element `chart-<name>`."""
    charts = {"config": config(PAGE, font), "specs": specs}
    return (
        _templates()
        .get_template(template)
        .render(charts=_script_data(charts), bundle=_bundle(), **values)
    )


def vl_convert() -> Any:
    """The renderer that needs no browser; SvtError if it is not installed."""
    try:
        import vl_convert
    except ImportError as error:
        raise SvtError(
            "html, svg, png, pdf and the report need vl-convert: pip install vl-convert-python, "
            "or choose chart.format=[json] and leave out the report stage"
        ) from error
    return vl_convert


def _script_data(value: Any) -> str:
    """JSON that may stand inside a script element: no text in it can end the element."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


@lru_cache(maxsize=1)
def _bundle() -> str:
    """The scripts of step 2 as one text."""
    return vl_convert().javascript_bundle()


@lru_cache(maxsize=1)
def _templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("svt.charts"), autoescape=True, undefined=jinja2.StrictUndefined
    )
