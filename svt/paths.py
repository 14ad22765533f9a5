"""Paths of the files of svt, of files that a user names, and of the cache.

conf/ and sql/ are in the root of a checkout, and inside the package of a wheel.
"""

import os
from pathlib import Path

from svt.errors import ConfigError

PACKAGE = Path(__file__).resolve().parent


def _folder(name: str) -> Path:
    checkout = PACKAGE.parent / name
    return checkout if (PACKAGE.parent / "pyproject.toml").is_file() else PACKAGE / name


def conf_dir() -> Path:
    """Return the folder of Hydra groups and of the data files they name."""
    return _folder("conf")


def sql_dir() -> Path:
    """Return the folder of schema, queries, macros and checks."""
    return _folder("sql")


def read_sql(name: str) -> str:
    """Return the text of sql/<name>.sql."""
    return (sql_dir() / f"{name}.sql").read_text(encoding="utf-8")


def expand_home(name: str | Path) -> Path:
    """Return the path with `~` or `~user` expanded; ConfigError for an unknown user."""
    try:
        return Path(name).expanduser()
    except RuntimeError as error:
        raise ConfigError(
            f"{name}: no home folder is known for {Path(name).parts[0]}; write the full path"
        ) from error


def cache_dir() -> Path:
    """Return the folder of the cache: `$XDG_CACHE_HOME/svt`, or `~/.cache/svt`."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(named) if Path(named).is_absolute() else expand_home("~/.cache")
    return base / "svt"
