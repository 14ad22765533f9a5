"""Charts in a self-contained HTML page.

1. Charts are specifications without colours of text and background; these are variables of the
   page's style sheet, so that one chart serves light mode, dark mode and print.
2. The scripts of Vega, Vega-Lite and Embed are in the page, once for all charts.
3. The Content-Security-Policy of the page allows no network access.
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
    """Return the page of `template`; the script draws each spec into `chart-<name>`."""
    charts = {"config": config(PAGE, font), "specs": specs}
    return (
        _load_templates()
        .get_template(template)
        .render(charts=_write_script_data(charts), bundle=_load_bundle(), **values)
    )


def vl_convert() -> Any:
    """Return the renderer that works without a browser; SvtError if it is not installed."""
    try:
        import vl_convert
    except ImportError as error:
        raise SvtError(
            "html, svg, png, pdf and the report need vl-convert: pip install vl-convert-python, "
            "or choose chart.format=[json] and leave out the report stage"
        ) from error
    return vl_convert


def _write_script_data(value: Any) -> str:
    """Return JSON for a script element, with `<` escaped so that no text can close the element."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return text.replace("<", "\\u003c")


@lru_cache(maxsize=1)
def _load_bundle() -> str:
    """Return the scripts of step 2 as one text."""
    return vl_convert().javascript_bundle()


@lru_cache(maxsize=1)
def _load_templates() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("svt.charts"), autoescape=True, undefined=jinja2.StrictUndefined
    )
