"""How a command is written for people to paste into a shell."""

import re
import shlex
import shutil
import sys
from pathlib import Path


def format_override(key: str, path: Path) -> str:
    """`key=path` as one word that the shell passes on whole and Hydra reads as that path."""
    if re.fullmatch(r"[A-Za-z0-9_./-]+", str(path)):
        return f"{key}={path}"
    literal = re.sub(r"(\\*)\$\{", r"\1\1\\${", str(path))  # which is no interpolation
    escaped = re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + ("\\'" if m[2] else ""), literal)
    word = f"{key}='{escaped}'"
    return shlex.quote(word) if re.search(r'["$`\\!]', word) else f'"{word}"'


def find_command(name: str) -> str:
    """Return what starts a console script of this installation in a shell.

    `name` where the shell finds that script, else its path, from the working folder if it is below.
    """
    script = Path(sys.executable).with_name(name)
    if _finds(name, script) or not script.is_file():
        return name
    below = script.is_relative_to(Path.cwd())
    return shlex.quote(str(script.relative_to(Path.cwd()) if below else script))


def python_command() -> str:
    """Return what starts this Python in a shell: `python` where that is this one, else its path."""
    same = _finds("python", Path(sys.executable))
    return "python" if same else shlex.quote(sys.executable)


def _finds(name: str, path: Path) -> bool:
    """Return whether the shell takes `name` for the program `path`."""
    at = shutil.which(name)
    return at is not None and Path(at).absolute() == path.absolute()
