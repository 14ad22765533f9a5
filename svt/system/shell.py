"""How a command is written for people to paste into a shell."""

import re
import shlex
import shutil
import sys
from pathlib import Path


def override(key: str, path: Path) -> str:
    """`key=path` as one word that the shell passes on whole and Hydra reads as that path."""
    if re.fullmatch(r"[A-Za-z0-9_./-]+", str(path)):
        return f"{key}={path}"
    literal = re.sub(r"(\\*)\$\{", r"\1\1\\${", str(path))  # which is no interpolation
    escaped = re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + ("\\'" if m[2] else ""), literal)
    word = f"{key}='{escaped}'"
    return shlex.quote(word) if re.search(r'["$`\\!]', word) else f'"{word}"'


def python_command() -> str:
    """Return what starts this Python in a shell: `python` where that is this one, else its path."""
    found = shutil.which("python")
    same = found is not None and Path(found).absolute() == Path(sys.executable).absolute()
    return "python" if same else shlex.quote(sys.executable)
