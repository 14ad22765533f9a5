"""Where files are: those beside the code, those that a user names, and those that svt keeps.

The first stand in a checkout at its top, in a wheel inside the package.
"""

import os
from pathlib import Path

from svt.errors import ConfigError

PACKAGE = Path(__file__).resolve().parent


def _folder(name: str) -> Path:
    checkout = PACKAGE.parent / name
    return checkout if (PACKAGE.parent / "pyproject.toml").is_file() else PACKAGE / name


def conf_dir() -> Path:
    """The folder of Hydra groups and of the data files they name."""
    return _folder("conf")


def sql_dir() -> Path:
    """The folder of schema, queries, macros and checks."""
    return _folder("sql")


def read_sql(name: str) -> str:
    """Return the text of sql/<name>.sql."""
    return (sql_dir() / f"{name}.sql").read_text(encoding="utf-8")


def expand_home(name: str | Path) -> Path:
    """The path with its `~` or `~user` as a folder; ConfigError for a user that there is not."""
    try:
        return Path(name).expanduser()
    except RuntimeError as error:
        raise ConfigError(
            f"{name}: no home folder is known for {Path(name).parts[0]}; write the whole path"
        ) from error


def cache_dir() -> Path:
    """Return the folder of what can be made again: `$XDG_CACHE_HOME/svt`, or `~/.cache/svt`."""
    named = os.environ.get("XDG_CACHE_HOME", "")
    base = Path(named) if Path(named).is_absolute() else expand_home("~/.cache")
    return base / "svt"
