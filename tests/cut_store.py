"""One store cut into several, as the shards of its dataset would be, with the rows as they are."""

import json
from pathlib import Path

import duckdb

from svt.db.catalog import create_tables, view_names

ONCE = ("dump", "singular_values", "writers")


def cut(store: Path, folder: Path, n: int) -> list[Path]:
    """`n` stores below `folder`, each with as many consecutive prompts of `store`."""
    folder.mkdir()
    return [_part(store, folder / f"part-{shard}.duckdb", shard, n) for shard in range(n)]


def _part(store: Path, path: Path, shard: int, n: int) -> Path:
    with duckdb.connect() as con:
        con.execute(f"ATTACH '{store}' AS whole (READ_ONLY)")
        con.execute(f"ATTACH '{path}' AS part")
        create_tables(con, "part", "store")
        con.execute(
            "CREATE TEMP TABLE chosen AS SELECT prompt_id FROM ("
            "SELECT prompt_id, ntile(?) OVER (ORDER BY prompt_id) - 1 AS shard FROM whole.prompts) "
            "WHERE shard = ?",
            [n, shard],
        )
        found = con.execute(
            "SELECT table_name, list(column_name) FROM duckdb_columns() "
            "WHERE database_name = 'whole' GROUP BY table_name"
        ).fetchall()
        for table, columns in found:
            if table in view_names():
                continue
            if table in ONCE:
                which = "true"
            elif "prompt_id" in columns:
                which = "prompt_id IN (FROM chosen)"
            else:
                which = (
                    "pair_id IN (SELECT pair_id FROM whole.pairs WHERE prompt_id IN (FROM chosen))"
                )
            con.execute(f"INSERT INTO part.{table} FROM whole.{table} WHERE {which}")
        ((config,),) = con.execute("SELECT config FROM part.dump").fetchall()
        values = json.loads(config)
        values["dataset"] |= {"shard": shard, "n_shards": n}
        con.execute(
            "UPDATE part.dump SET config = ?, identity = ?", [json.dumps(values), f"part {shard}"]
        )
    return path
