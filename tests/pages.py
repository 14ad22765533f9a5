"""README.md and docs/*.md as tests read them: their text, commands, links and headings.

1. A fence without a language holds commands, one a line, a comment behind two spaces and a #.
2. ```text is output or a formula, ```python a program, ```console a command of the walk-through.
"""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
PAGES = [README, *DOCS]
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.S | re.M)


def text(page: Path | str) -> str:
    """Return the text of a page; a name is one of docs/."""
    path = ROOT / "docs" / page if isinstance(page, str) else page
    return path.read_text(encoding="utf-8")


def section(page: Path | str, heading: str) -> str:
    """Return what stands below a heading of the second level."""
    return text(page).split(f"\n## {heading}\n")[1].split("\n## ")[0]


def blocks(language: str) -> list[str]:
    """Return the fenced blocks of a language over all pages, in their order."""
    return [code for page in PAGES for kind, code in _FENCE.findall(text(page)) if kind == language]


def command_lines() -> list[str]:
    """Return every line of step 1 without its comment, each once."""
    lines = [line.split("  #")[0].rstrip() for code in blocks("") for line in code.splitlines()]
    return list(dict.fromkeys(lines))


def commands(program: str) -> list[str]:
    """Return the command lines of a program."""
    return [line for line in command_lines() if line.split(" ")[0] == program]


def links(page: Path) -> list[tuple[Path, str]]:
    """Return the page's links to files, as (file, anchor), the anchor empty without one."""
    found = re.findall(r"\]\(([^)#:]*)(?:#([^)]*))?\)", text(page))
    return [(page.parent / path if path else page, anchor) for path, anchor in found]


def anchors(page: Path) -> set[str]:
    """Return the anchors that a page's headings make."""
    headings = re.findall(r"^#+ (.*)$", _FENCE.sub("", text(page)), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
