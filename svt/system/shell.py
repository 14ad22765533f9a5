"""Write commands that can be pasted into a shell."""

import re
import shlex
import shutil
import sys
from pathlib import Path


def format_override(key: str, path: Path) -> str:
    """Return `key=path` as one word of the shell that Hydra reads as that path."""
    if re.fullmatch(r"[A-Za-z0-9_./-]+", str(path)):
        return f"{key}={path}"
    literal = re.sub(r"(\\*)\$\{", r"\1\1\\${", str(path))  # prevents an interpolation
    escaped = re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + ("\\'" if m[2] else ""), literal)
    word = f"{key}='{escaped}'"
    return shlex.quote(word) if re.search(r'["$`\\!]', word) else f'"{word}"'


def find_command(name: str) -> str:
    """Return the command of a console script of this installation: its name or its path.

    The name, where the shell finds that script; else the path, relative if it is below the working
    folder.
    """
    script = Path(sys.executable).with_name(name)
    if _finds(name, script) or not script.is_file():
        return name
    below = script.is_relative_to(Path.cwd())
    return shlex.quote(str(script.relative_to(Path.cwd()) if below else script))


def python_command() -> str:
    """Return the command of this Python: `python`, where the shell finds it, or its path."""
    same = _finds("python", Path(sys.executable))
    return "python" if same else shlex.quote(sys.executable)


def _finds(name: str, path: Path) -> bool:
    """Return whether the shell finds the program `path` under `name`."""
    program = shutil.which(name)
    return program is not None and Path(program).absolute() == path.absolute()
