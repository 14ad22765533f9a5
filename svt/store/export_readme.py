"""The README.md of an exported folder: how DuckDB, Polars and Spark read it.

The tables pair_slices and pair_upstream of a store hold lists, so it also says how each program
makes the long views `slices` and `upstream` from them.
"""

import shlex
from pathlib import Path

from svt.db.parquet import is_export
from svt.system.shell import format_override
from svt.version import VERSION

_TABLES = """# {what}

Written by svt {version} as Parquet: every table is a file or, split by layer, a folder whose
subfolders have the column `layer` in their names. docs/tables.md of svt describes the columns.
Paths are relative to this folder.

DuckDB:

    select count(*) from read_parquet('{files}', hive_partitioning = true);

Polars:

    polars.scan_parquet("{files}", hive_partitioning=True)

Spark:

    spark.read.parquet("{table}")
"""
_VIEWS = """
## The long views

`pair_slices` and `pair_upstream` hold lists, with one row per pair or per side of it. The views
`slices`, one row per slice, and `upstream`, one row per writer, are made from them.

DuckDB:

    create view slices as
    select pair_id, k, dest_coord * src_coord as contribution, dest_coord, src_coord,
        list_contains(signal, k) as in_signal
    from (
        select pair_id, signal, unnest(range(len(dest_coords))) as k,
            unnest(dest_coords) as dest_coord, unnest(src_coords) as src_coord
        from read_parquet('{pair_slices}')
    );
    create view upstream as
    select pair_id, side, component, up_layer, up_head, contribution, contribution_all,
        weight_without
    from (
        select pair_id, side, component, unnest(range(len(contributions))) as writer,
            unnest(contributions) as contribution, unnest(contributions_all) as contribution_all,
            unnest(weights_without) / 65535 as weight_without
        from read_parquet('{pair_upstream}')
    )
    join read_parquet('writers.parquet') using (component, writer);

Polars; `contributions_all` and `weights_without` (in units of 1/65535) are exploded in the same way
where they are not null:

    import polars as pl

    slices = (
        pl.scan_parquet("{pair_slices}")
        .with_columns(k=pl.int_ranges(pl.col("dest_coords").list.len(), dtype=pl.UInt16))
        .explode("k", "dest_coords", "src_coords")
        .select(
            "pair_id", "k",
            contribution=pl.col("dest_coords") * pl.col("src_coords"),
            dest_coord="dest_coords", src_coord="src_coords",
            in_signal=pl.col("signal").list.contains(pl.col("k")),
        )
    )
    upstream = (
        pl.scan_parquet("{pair_upstream}")
        .select("pair_id", "side", "component", contribution="contributions")
        .with_columns(writer=pl.int_ranges(pl.col("contribution").list.len(), dtype=pl.UInt16))
        .explode("contribution", "writer")
        .join(pl.scan_parquet("writers.parquet"), on=["component", "writer"])
        .drop("writer")
    )

Spark:

    spark.read.parquet("{slices_table}").createOrReplaceTempView("pair_slices")
    spark.read.parquet("{upstream_table}").createOrReplaceTempView("pair_upstream")
    spark.read.parquet("writers.parquet").createOrReplaceTempView("writers")
    spark.sql('''create temp view slices as
        select pair_id, k, dest_coord * src_coords[k] as contribution, dest_coord,
            src_coords[k] as src_coord, array_contains(signal, k) as in_signal
        from (
            select pair_id, src_coords, signal, posexplode(dest_coords) as (k, dest_coord)
            from pair_slices
        )''')
    spark.sql('''create temp view upstream as
        select pair_id, side, component, up_layer, up_head, contribution,
            contributions_all[writer] as contribution_all,
            weights_without[writer] / 65535 as weight_without
        from (
            select pair_id, side, component, contributions_all, weights_without,
                posexplode(contributions) as (writer, contribution)
            from pair_upstream
        )
        join writers using (component, writer)''')
"""
_REOPEN = """
## svt

svt opens a store from this folder:

    svt-sql {folder} summary
    svt {store}
"""


def format_readme(what: str, written: Path, folder: Path) -> str:
    """Return the text for an export of the target `what`, written to `written`, later `folder`."""
    is_store = is_export(written)
    name = "pairs" if is_store else min(file.stem for file in written.glob("*.parquet"))
    table = _table(written, name)
    text = _TABLES.format(what=what, version=VERSION, table=table, files=_files(written, table))
    if not is_store:
        return text
    slices, upstream = (_table(written, name) for name in ("pair_slices", "pair_upstream"))
    views = _VIEWS.format(
        slices_table=slices,
        upstream_table=upstream,
        pair_slices=_files(written, slices),
        pair_upstream=_files(written, upstream),
    )
    store = format_override("store.path", folder)
    return text + views + _REOPEN.format(folder=shlex.quote(str(folder)), store=store)


def _table(written: Path, name: str) -> str:
    """Return the folder of a table or, where it is not split by layer, its file."""
    return name if (written / name).is_dir() else f"{name}.parquet"


def _files(written: Path, table: str) -> str:
    return f"{table}/*/*.parquet" if (written / table).is_dir() else table
