"""The stores of a run, as one object.

1. A path, a list of names, a pattern or the folder of an exported store selects stores on disk.
2. Identity, configuration, notes and shape are those of their row `dump`, which is read once; for
   two or more stores it is the row of their union (svt/db/union.py).
3. Results name their stores by one path, or by a JSON list of paths.
"""

import glob
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any

import duckdb

from svt.db.attach import attach_stores
from svt.db.damage import check_damage
from svt.db.files import explain_unreadable, open_database
from svt.db.parquet import is_export
from svt.errors import StoreError
from svt.paths import expand_home


@dataclass(frozen=True)
class Stores:
    """One or more stores; none for an imported circuit."""

    paths: tuple[Path, ...]

    @classmethod
    def of(cls, paths: Path | Iterable[Path]) -> "Stores":
        """Return the stores at one or more paths, without duplicates."""
        return cls((paths,) if isinstance(paths, Path) else tuple(dict.fromkeys(paths)))

    @classmethod
    def expand(cls, names: object) -> "Stores | None":
        """Return the stores that a list of names, a pattern or an exported folder selects.

        Patterns are those of a shell; names and patterns may be separated by commas. Return None
        for the name of one file, and for a value that is no name. StoreError for a pattern without
        a matching file.
        """
        if (
            isinstance(names, list | tuple)
            and names
            and all(isinstance(name, str) for name in names)
        ):
            return cls.of(chain.from_iterable(_match(expand_home(name)) for name in names))
        if not isinstance(names, str | Path):
            return None
        path = expand_home(names)
        if is_export(path):
            return cls((path,))
        if path.exists() or not set(str(path)) & set("*?[,"):
            return None
        return cls.expand(str(path).split(","))

    @classmethod
    def from_text(cls, text: str | None) -> "Stores":
        """Return the stores of a text that `to_text` returned."""
        if text is None:
            return cls(())
        if not text.startswith("["):
            return cls.of(Path(text))
        names = parse_json(text, "store_path of the results")
        if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
            raise StoreError(f"store_path of the results names no store ({text:.60}); run again")
        return cls.of(map(Path, names))

    def to_text(self) -> str | None:
        """Return the absolute paths as results name them (step 3); None for no store."""
        names = [str(path.resolve()) for path in self.paths]
        if len(names) < 2:
            return names[0] if names else None
        return json.dumps(names)

    def __str__(self) -> str:
        more = f" and {len(self.paths) - 1} more" if len(self.paths) > 1 else ""
        return f"{self.paths[0]}{more}" if self.paths else "no store"

    @property
    def missing(self) -> list[Path]:
        """The paths that do not exist."""
        return [path for path in self.paths if not path.exists()]

    @cached_property
    def dump(self) -> dict[str, Any]:
        """The row `dump`; StoreError for a store of another schema and for incompatible stores."""
        with open_database() as con:
            return attach_stores(con, "store", self.paths)

    @cached_property
    def prompt_ids(self) -> frozenset[int]:
        """The ids of the prompts in the stores."""
        with open_database() as con:
            attach_stores(con, "store", self.paths)
            try:
                rows = con.execute("SELECT prompt_id FROM store.prompts").fetchall()
            except duckdb.Error as error:
                check_damage(error, self.paths)
                raise explain_unreadable(self, "store", error) from error
        return frozenset(prompt_id for (prompt_id,) in rows)

    @property
    def identity(self) -> str:
        return str(self.dump["identity"])

    @cached_property
    def config(self) -> dict[str, Any]:
        """The configuration of the dump, as plain values."""
        config: dict[str, Any] = parse_json(self.dump["config"], f"{self}: dump.config")
        return config

    @property
    def notes(self) -> list[str]:
        """Notes of the dump, and a note on missing shards."""
        notes: list[str] = parse_json(self.dump["notes"] or "[]", f"{self}: dump.notes")
        return notes

    @property
    def shape(self) -> tuple[int, int]:
        """The numbers of layers and of heads per layer."""
        return self.dump["n_layers"], self.dump["n_heads"]


def parse_json(text: str, what: str) -> Any:
    """Return the value of a JSON text; StoreError says that `what` is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, TypeError, RecursionError) as error:
        raise StoreError(f"{what} is no JSON ({text!r:.60}); make a new file") from error


def _match(path: Path) -> Sequence[Path]:
    """Return the files that match a pattern; StoreError when there is none."""
    if path.exists() or not set(str(path)) & set("*?["):
        return [path]
    matches = [Path(name) for name in sorted(glob.glob(str(path)))]  # noqa: PTH207
    if not matches:
        raise StoreError(f"{path}: no store matches this pattern")
    return matches
