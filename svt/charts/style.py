"""How every chart looks: one Vega-Lite configuration, in fixed colours or in the page's own.

The chart functions name styles (`style="quiet"`), never colours of text, axes or paper: one chart
serves a PNG on white and a report page that may be dark. Colours that carry meaning are constants
here, from the colour-blind-safe palette of Okabe and Ito (its blue a little lighter; violet and
ochre in place of its pink and its second orange, which deuteranopes take for grey and for orange),
dark enough for white and light enough for black.
"""

from dataclasses import dataclass
from typing import Any

import altair as alt

from svt.system.text import drawable

BLUE, ORANGE, GREEN, GREY = "#1F83C4", "#D55E00", "#009E73", "#8A8F98"
CATEGORY = (BLUE, ORANGE, GREEN, "#9C4AA8", "#56B4E9", "#BFA500", GREY)
SIDE_COLOURS = {"dest": BLUE, "src": ORANGE}
SIDE_NAMES = {"dest": "destination", "src": "source"}

NOTHING = {"nothing_to_draw": True}
"""The `usermeta` of a chart that only says why there is nothing to draw."""

Chart = alt.Chart | alt.LayerChart | alt.FacetChart | alt.ConcatChart | alt.HConcatChart
"""What the chart functions return."""


@dataclass(frozen=True)
class Palette:
    """The colours of what is not data: text and axes, lesser text and lines, bands, paper."""

    ink: str
    quiet: str
    faint: str
    paper: str
    middle: str
    """Of heatmaps: the colour of 0."""


LIGHT = Palette(ink="#1f2328", quiet="#656d76", faint="#e4e7eb", paper="#ffffff", middle="#f5f5f3")
PAGE = Palette(
    ink="var(--ink)",
    quiet="var(--quiet)",
    faint="var(--faint)",
    paper="var(--paper)",
    middle="rgba(128, 128, 128, 0)",
)
"""Follows the page's style sheet, so that dark mode and print need no second drawing.

Through the middle of heatmaps, which no style sheet can colour, the paper is seen.
"""
FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"


def config(palette: Palette, font: str | None = None) -> dict[str, Any]:
    """The Vega-Lite `config` in the colours of `palette`, in `font` before the usual ones."""
    return {
        "font": FONT if font is None else f"{font}, {FONT}",
        "background": palette.paper,
        "padding": 12,
        "view": {"stroke": None, "continuousWidth": 480, "continuousHeight": 260},
        "title": {
            "anchor": "start",
            "color": palette.ink,
            "subtitleColor": palette.quiet,
            "fontSize": 15,
            "subtitleFontSize": 12,
            "subtitlePadding": 5,
            "offset": 12,
        },
        "axis": {
            "labelColor": palette.quiet,
            "titleColor": palette.ink,
            "titleFontWeight": "normal",
            "titleFontSize": 12,
            "labelFontSize": 11,
            "gridColor": palette.faint,
            "domainColor": palette.quiet,
            "tickColor": palette.quiet,
        },
        "header": {"labelColor": palette.ink, "titleColor": palette.ink, "labelFontSize": 12},
        "legend": {
            "labelColor": palette.ink,
            "titleColor": palette.ink,
            "titleFontWeight": "normal",
            "labelFontSize": 11,
            "titleFontSize": 11,
            "labelLimit": 320,
        },
        "range": {"category": list(CATEGORY), "diverging": [BLUE, palette.middle, ORANGE]},
        "text": {"color": palette.ink},
        "style": {
            "band": {"color": palette.faint, "opacity": 0.45},
            "node": {"color": palette.paper, "stroke": palette.quiet, "opacity": 1},
            "root": {"color": palette.ink, "stroke": palette.ink, "opacity": 1},
            "label": {"color": palette.ink, "fontSize": 11},
            "root_label": {"color": palette.paper, "fontSize": 11, "fontWeight": "bold"},
            "quiet": {"color": palette.quiet, "fontSize": 11},
            "role": {"color": palette.ink, "fontSize": 12, "fontWeight": "bold"},
            "ring": {"color": palette.paper, "stroke": GREEN, "strokeWidth": 3.5, "opacity": 1},
            "best": {"fillOpacity": 0, "stroke": palette.ink, "strokeWidth": 2},
            "attended": {"color": palette.quiet, "stroke": palette.quiet},
            "threshold": {"color": palette.ink, "strokeDash": [4, 3]},
        },
    }


def specification(chart: Chart, palette: Palette | None = LIGHT) -> dict[str, Any]:
    """The chart as Vega-Lite; no configuration if `palette` is None, as the page brings its own.

    Its texts are such as XML holds: the renderer ends the process at any other. Not held against
    Vega-Lite's schema, which takes longer than drawing: the tests do so.
    """
    with alt.data_transformers.enable("default", max_rows=None):
        spec: dict[str, Any] = drawable(chart.to_dict(validate=False))
    spec.pop("config", None)
    return spec if palette is None else spec | {"config": config(palette)}


def title(text: str, *subtitle: str) -> alt.TitleParams:
    """A title, and below it what was counted and what was left out; empty lines are dropped."""
    return alt.TitleParams(text, subtitle=[line for line in subtitle if line])


def message(heading: str, text: str) -> alt.Chart:
    """Return a chart that says why there is nothing to draw."""
    return sentence(heading, text).properties(usermeta=NOTHING)


def sentence(heading: str, text: str) -> alt.Chart:
    """Return a panel that holds a sentence instead of marks."""
    return (
        alt.Chart(inline([{"message": text}]), title=title(heading))
        .mark_text(style="quiet", align="left", fontSize=13)
        .encode(x=alt.value(0), text="message:N")
        .properties(width=480, height=40)
    )


class _Rows(alt.Data):
    """Rows that Altair passes on as they are, however often it copies the chart around them."""

    def __deepcopy__(self, memo: object) -> "_Rows":
        return self

    def to_dict(self, validate: bool = True, **_: Any) -> dict[str, Any]:
        return dict(self._kwds)


def inline(rows: list[dict[str, Any]]) -> alt.Data:
    """Return rows as the chart's own data."""
    return _Rows(values=rows)


def side_colour() -> Any:
    """The colour of an edge by its `side`; grey, as in the legend of the widths, without one."""
    scale = alt.Scale(
        domain=list(SIDE_NAMES.values()), range=[SIDE_COLOURS[side] for side in SIDE_NAMES]
    )
    legend = alt.Legend(symbolType="stroke", symbolStrokeWidth=3, symbolSize=150, symbolOpacity=1)
    by_side = alt.Color("side:N", title="writes into the", scale=scale, legend=legend)
    return alt.when("!datum.side").then(alt.value(GREY)).otherwise(by_side)


def ratio(value: float | None, missing: str = "undefined") -> str:
    """`0.47`: a precision, a recall; `missing` where its denominator is 0."""
    return missing if value is None else f"{value:.2f}"


def head_name(layer: int, head: int) -> str:
    """`layer.head`, as the papers write it."""
    return f"{layer}.{head}"


def number(value: float, form: str) -> str:
    """`−0.62`: a number in a text, in a format of Python, with the minus sign of print."""
    return format(value, form).replace("-", "−")


def counted(n: int, count: str) -> str:
    """`1 prompt`, `64 prompts`: a number of what trace.count counts."""
    return plural(n, count.removesuffix("s"))


def plural(n: int, noun: str) -> str:
    """`1 edge`, `2 edges`."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
