"""Print rows on stdout without loss, as a table, CSV, JSON or Parquet.

1. On a terminal a table shows at most `most` rows and says so; elsewhere it has all rows.
2. Expanded, each row is a block of lines `column | value`, for rows wider than a terminal.
"""

import sys

import polars as pl

from svt.cli.console import output, write
from svt.errors import QueryError
from svt.query.exact import check_format
from svt.system.text import make_visible

MOST_ROWS = 40


def print_rows(frame: pl.DataFrame, form: str, expand: bool = False, most: int = MOST_ROWS) -> None:
    """Print a frame; QueryError when the format cannot hold it."""
    check_format(frame, form)
    try:
        _print_as(frame, form, expand, most)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        reason = " ".join(str(error).split())[:80]
        raise QueryError(
            f"the rows cannot be written as {form} ({reason}); take another --format, or cast such "
            "columns: column::varchar"
        ) from error


def _print_as(frame: pl.DataFrame, form: str, expand: bool, most: int) -> None:
    if form == "csv":
        write(frame.write_csv(), required=True)
    elif form == "json":
        write(frame.write_json() + "\n", required=True)
    elif form == "parquet":
        if sys.stdout.isatty():
            raise QueryError("Parquet is not for a terminal: redirect it, > FILE.parquet")
        with output(required=True):
            frame.write_parquet(sys.stdout.buffer)
    else:
        shown = frame.head(most) if sys.stdout.isatty() else frame  # 1
        text = _format_expanded(shown) if expand else _format_table(shown)
        write(f"{make_visible(text)}\n{_format_count(frame.height, shown.height)}\n", required=True)


def _format_table(frame: pl.DataFrame) -> str:
    with pl.Config(
        tbl_rows=-1,
        tbl_cols=-1,
        tbl_width_chars=200,
        fmt_str_lengths=80,
        tbl_hide_dataframe_shape=True,
        tbl_hide_column_data_types=True,
        tbl_formatting="ASCII_MARKDOWN",
    ):
        return str(frame)


def _format_expanded(frame: pl.DataFrame) -> str:
    """Return a frame as blocks of lines, a block for each row (step 2)."""
    width = max(map(len, frame.columns), default=0)
    blocks = []
    values = [column.to_list() for column in frame]
    for number, row in enumerate(zip(*values, strict=True), start=1):
        cells = ("null" if value is None else value for value in row)
        lines = [f"{name:<{width}} | {v}" for name, v in zip(frame.columns, cells, strict=True)]
        blocks.append("\n".join([f"-- row {number}", *lines]))
    return "\n".join(blocks)


def _format_count(n_rows: int, n_shown: int) -> str:
    if n_shown == n_rows:
        return f"{n_rows} rows"
    return f"{n_shown} of {n_rows} rows; all of them with --format csv, or through a pipe: | less"
