"""The style of all charts: the Vega-Lite configuration, colours, and formats of numbers and titles.

The chart functions name styles (`style="quiet"`) and no colours of text, axes or background, so
that the same chart can be a PNG on white and part of a report page in dark mode. Colours that
encode data are constants in this module, from the palette of Okabe and Ito for colour-blind readers
(with a lighter blue, and with violet and ochre in place of its pink and second orange, which
deuteranopes confuse with grey and orange). They have enough contrast on white and on black.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import altair as alt
import polars as pl

from svt.system.text import make_drawable

BLUE, ORANGE, GREEN, GREY = "#1F83C4", "#D55E00", "#009E73", "#8A8F98"
CATEGORY = (BLUE, ORANGE, GREEN, "#9C4AA8", "#56B4E9", "#BFA500", GREY)
SIDE_COLOURS = {"dest": BLUE, "src": ORANGE}
SIDE_NAMES = {"dest": "destination", "src": "source"}

NOTHING = {"nothing_to_draw": True}
"""The `usermeta` of a chart that is only a message."""

Chart = alt.Chart | alt.LayerChart | alt.FacetChart | alt.ConcatChart | alt.HConcatChart
"""What the chart functions return."""
Row = dict[str, Any]
"""A row of a query or of a chart's data."""


@dataclass(frozen=True)
class Palette:
    """The colours that encode no data."""

    ink: str
    """Text and titles of axes."""
    quiet: str
    """Secondary text and lines."""
    faint: str
    """Grids and bands."""
    paper: str
    """The background."""
    middle: str
    """The value 0 in heatmaps."""


LIGHT = Palette(ink="#1f2328", quiet="#656d76", faint="#e4e7eb", paper="#ffffff", middle="#f5f5f3")
PAGE = Palette(
    ink="var(--ink)",
    quiet="var(--quiet)",
    faint="var(--faint)",
    paper="var(--paper)",
    middle="rgba(128, 128, 128, 0)",
)
"""Variables of the page's style sheet, so that one chart serves light mode, dark mode and print.

A heatmap's colours cannot be variables: its middle is transparent and shows the background.
"""
FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, sans-serif"


def config(palette: Palette, font: str | None = None) -> dict[str, Any]:
    """Return the Vega-Lite `config` in the colours of `palette`; `font` comes before FONT."""
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
    """Return the chart as Vega-Lite, without a `config` if `palette` is None.

    Characters that XML does not allow are replaced, because they crash the renderer. The chart is
    not validated against the schema of Vega-Lite, which takes longer than drawing; tests do that.
    """
    spec: dict[str, Any] = make_drawable(_to_dict(chart))
    spec.pop("config", None)
    return spec if palette is None else spec | {"config": config(palette)}


def for_notebook(chart: Chart) -> alt.TopLevelMixin:
    """Return the chart in the colours of LIGHT, for a notebook to display or Altair to save.

    One with characters that XML does not allow is read back from its specification, slowly.
    """
    if make_drawable(spec := _to_dict(chart)) != spec:
        return alt.Chart.from_dict(specification(chart))
    chart = chart.copy(deep=False)
    chart.config = alt.Config(**config(LIGHT))
    return chart


def _to_dict(chart: Chart) -> dict[str, Any]:
    with alt.data_transformers.enable("default", max_rows=None):
        spec: dict[str, Any] = chart.to_dict(validate=False)
    return spec


def title(text: str, *subtitle: str) -> alt.TitleParams:
    """Return a title with the non-empty lines of `subtitle` below it."""
    return alt.TitleParams(text, subtitle=[line for line in subtitle if line])


def panel_title(text: str, subtitle: str | list[str]) -> alt.TitleParams:
    """Return the title of a panel, in smaller type than that of the chart."""
    return alt.TitleParams(text, subtitle=subtitle, fontSize=13, subtitleFontSize=11)


def message(heading: str, *lines: str) -> alt.Chart:
    """Return a chart that is a message on why there is nothing to draw."""
    return sentence(heading, " ".join(filter(None, lines))).properties(usermeta=NOTHING)


def sentence(heading: str, text: str) -> alt.Chart:
    """Return a panel that holds a sentence instead of marks."""
    return (
        alt.Chart(inline([{"message": text}]), title=title(heading))
        .mark_text(style="quiet", align="left", fontSize=13)
        .encode(x=alt.value(0), text="message:N")
        .properties(width=480, height=40)
    )


class _Rows(alt.Data):
    """Inline rows that are not copied when Altair copies the chart."""

    def __deepcopy__(self, _: object) -> "_Rows":
        return self

    def to_dict(self, *_: Any, **__: Any) -> dict[str, Any]:
        return dict(self._kwds)


def inline(rows: list[dict[str, Any]]) -> alt.Data:
    """Return `rows` as the inline data of a chart."""
    return _Rows(values=rows)


def rule(axis: str, field: str, value: float) -> alt.Chart:
    """Draw a dashed rule at a value of x or y."""
    chart: alt.Chart = alt.Chart(inline([{field: value}])).mark_rule(style="threshold")
    return chart.encode(**{axis: f"{field}:Q"})


def pick_evenly(n: int, most: int) -> list[int]:
    """Return at most `most` of the first n whole numbers, evenly spaced."""
    most = min(n, most)
    return [i * n // most for i in range(most)]


def with_firing_names(frame: pl.DataFrame) -> pl.DataFrame:
    """Return the rows with a column `firing`: head and roles, `5.4 end -> IO`."""
    roles = (pl.col(role).fill_null("other") for role in ("dest_role", "src_role"))
    return frame.with_columns(firing=pl.format("{}.{} {} -> {}", "layer", "head", *roles))


def share_opacity(field: str) -> alt.Opacity:
    """Return the opacity of squares by a share of the prompts, from 0 to 1."""
    return alt.Opacity(
        f"{field}:Q",
        title="share of the prompts",
        scale=alt.Scale(domain=[0, 1], range=[0, 1]),
        legend=alt.Legend(format="%", values=[0.25, 0.5, 0.75, 1], symbolType="square"),
    )


def side_colour() -> Any:
    """Return the colour of an edge by its `side`; grey if the side is not known."""
    scale = alt.Scale(
        domain=list(SIDE_NAMES.values()), range=[SIDE_COLOURS[side] for side in SIDE_NAMES]
    )
    legend = alt.Legend(symbolType="stroke", symbolStrokeWidth=3, symbolSize=150, symbolOpacity=1)
    by_side = alt.Color("side:N", title="writes into the", scale=scale, legend=legend)
    return alt.when("!datum.side").then(alt.value(GREY)).otherwise(by_side)


def ratio(value: float | None, missing: str = "undefined") -> str:
    """Format a precision or recall, `0.47`; `missing` where its denominator is 0."""
    return missing if value is None else f"{value:.2f}"


def head_name(layer: int, head: int) -> str:
    """Return `layer.head`, the notation of the papers."""
    return f"{layer}.{head}"


def head_names(heads: Iterable[tuple[int, int]]) -> str:
    """Return `5.0, 6.2`: the names of heads in a text."""
    return ", ".join(head_name(*head) for head in heads)


def number(value: float, form: str) -> str:
    """Format a number with Python's format `form` and a typographic minus sign, `−0.62`."""
    return format(value, form).replace("-", "−")


def counted(n: int, count: str) -> str:
    """Format a number of what trace.count counts: `1 prompt`, `64 prompts`."""
    return plural(n, count.removesuffix("s"))


def plural(n: int, noun: str) -> str:
    """Format a number with its noun: `1 edge`, `2 edges`."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {noun}s"
