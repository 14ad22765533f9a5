"""Where the files beside the code are: in a checkout at its top, in a wheel inside the package."""

from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def _folder(name: str) -> Path:
    checkout = _PACKAGE.parent / name
    return checkout if (_PACKAGE.parent / "pyproject.toml").is_file() else _PACKAGE / name


def conf_dir() -> Path:
    """The folder of Hydra groups and of the data files they name."""
    return _folder("conf")


def sql_dir() -> Path:
    """The folder of schema, queries, macros and checks."""
    return _folder("sql")
