"""Read text files of a user or of svt; a DataError names the file that cannot be read."""

from pathlib import Path

from svt.config import GeneratedConfig
from svt.errors import DataError
from svt.paths import conf_dir, expand_home

KEYS = ("templates", "names", "nouns")


def resolve_files(config: GeneratedConfig) -> tuple[Path, ...]:
    """Return the files of templates, names (if it has any) and nouns; null is the shipped file."""
    names = {key: getattr(config, key) for key in KEYS if hasattr(config, key)}
    return tuple(
        _find_shipped(config.name, key) if name is None else expand_home(name)
        for key, name in names.items()
    )


def _find_shipped(dataset: str, key: str) -> Path:
    """Return the file that svt ships, text or YAML; a copy with another ending does not count."""
    text = conf_dir() / "dataset" / dataset / f"{key}.txt"
    return text if text.is_file() else text.with_suffix(".yaml")


def read_bytes(path: Path, what: str) -> bytes:
    """Return the file's content; DataError names `what` and the file."""
    try:
        return path.read_bytes()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"cannot read {what} {path}: {reason}") from error


def read_text(path: Path, what: str) -> str:
    """Return a file's text (UTF-8, without a byte order mark); DataError names `what` and file."""
    try:
        return read_bytes(path, what).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(f"{what} {path} is not UTF-8 text (byte {error.start})") from error


def number_lines(text: str) -> list[tuple[int, str]]:
    """Return the line number from 1 and the stripped text of every line that is not blank."""
    lines = ((number, line.strip()) for number, line in enumerate(text.split("\n"), 1))
    return [(number, line) for number, line in lines if line]


def read_lines(path: Path, what: str) -> list[tuple[int, str]]:
    """Return the numbered lines of a file without blank lines and comments (#)."""
    return [(n, line) for n, line in number_lines(read_text(path, what)) if line[0] != "#"]
