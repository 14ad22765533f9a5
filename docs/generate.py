"""The generated parts of docs/tables.md, queries.md and settings.md: `make docs`.

1. A table's part is its COMMENTs in sql/schema, a query's the header of its file in sql/queries, a
   macro's the first line of its file in sql/macros, a setting's its line in conf/.
2. The text between `<!-- NAME -->` and `<!-- /NAME -->` in the page is replaced; a test holds the
   pages against the files, so a new column, query or key cannot be forgotten there.
"""

import re
from pathlib import Path

import duckdb

from svt.db.catalog import create_tables
from svt.paths import conf_dir
from svt.query.described import list_macros
from svt.query.named import list_queries

DOCS = Path(__file__).resolve().parent
PAGES = {
    "tables.md": ("store", "results"),
    "queries.md": ("queries", "macros"),
    "settings.md": ("settings",),
}


def sections() -> dict[str, str]:
    """Return the generated parts by name (step 1)."""
    return {
        "store": _tables("store"),
        "results": _tables("results"),
        "queries": _queries(),
        "macros": _macros(),
        "settings": _settings(),
    }


def replaced(page: str, text: str) -> str:
    """Return the text of a page with every generated part as it should be (step 2)."""
    parts = sections()
    for name in PAGES[page]:
        pattern = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.S)
        assert pattern.search(text), f"docs/{page} lacks <!-- {name} -->"
        text = pattern.sub(lambda match, s=parts[name]: match[1] + s + match[2], text)
    return text


def main() -> None:
    """Renew the pages."""
    for page in PAGES:
        path = DOCS / page
        path.write_text(replaced(page, path.read_text(encoding="utf-8")), encoding="utf-8")


def _tables(kind: str) -> str:
    con = duckdb.connect()
    con.execute("ATTACH ':memory:' AS here")
    create_tables(con, "here", kind)  # type: ignore[arg-type]
    tables = con.execute(
        "SELECT table_name, comment FROM duckdb_tables() WHERE database_name = 'here' UNION ALL "
        "SELECT view_name, comment FROM duckdb_views() WHERE database_name = 'here' ORDER BY 1"
    ).fetchall()
    parts = []
    for table, comment in tables:
        columns = con.execute(
            "SELECT column_name, lower(data_type), comment FROM duckdb_columns() "
            "WHERE database_name = 'here' AND table_name = ? ORDER BY column_index",
            [table],
        ).fetchall()
        rows = [
            f"| `{name}` | {_type(kind)} | {meaning.replace('|', chr(92) + '|')} |"
            for name, kind, meaning in columns
        ]
        parts.append(
            f"\n**`{table}`**: {comment}\n\n| column | type | meaning |\n|---|---|---|\n"
            + "\n".join(rows)
            + "\n"
        )
    return "".join(parts) + "\n"


def _type(name: str) -> str:
    return "enum" if name.startswith("enum") else name


def _queries() -> str:
    rows = [
        f"| `{query.name}` | {query.purpose} | "
        + ", ".join(f"`{param.name}`" for param in query.params)
        + " |"
        for query in list_queries()
    ]
    return "\n| query | what it shows | parameters |\n|---|---|---|\n" + "\n".join(rows) + "\n\n"


def _macros() -> str:
    rows = [f"| `{m.name}({m.arguments})` | {m.purpose} |" for m in list_macros()]
    return "\n| macro | what it gives |\n|---|---|\n" + "\n".join(rows) + "\n\n"


def _settings() -> str:
    datasets = sorted(file.stem for file in (conf_dir() / "dataset").glob("*.yaml"))
    groups = ["dump/default", "trace/paper", "intervene/default", "reference/default"]
    files = ["config", "model/gpt2-small", *(f"dataset/{name}" for name in datasets)]
    files += [*groups, "evaluate/default", "chart/default"]
    return "".join(map(_settings_of, files)) + "\n"


def _settings_of(file: str) -> str:
    """Return the table of a file in conf/, with the first sentence of its head as a title."""
    text = (conf_dir() / f"{file}.yaml").read_text(encoding="utf-8")
    group, _, name = file.rpartition("/")
    head = " ".join(re.findall(r"^# (.*)", text.split("\nname:")[0], re.M))
    title = f"`dataset={name}`: {re.split(r'[.:] ', head)[0]}" if group == "dataset" else group
    rows = [
        f"| `{key}` | {f'`{default}`' if default else ''} | {meaning.replace('|', '/')} |\n"
        for key, default, meaning in _keys(text, f"{group}." if group else "")
        if key != "dataset.name"
    ]
    heading = f"\n**{title}**\n" if title else ""
    return f"{heading}\n| key | default | meaning |\n|---|---|---|\n" + "".join(rows)


def _keys(text: str, prefix: str) -> list[list[str]]:
    """Return key, default and meaning of every setting; a comment may go on in the next lines."""
    rows: list[list[str]] = []
    above = ""
    for line in text.splitlines():
        if match := re.match(r"( *)(\w+):(?: +([^#]*\S))?(?: +# (.*))?$", line):
            indent, key, default, meaning = match.groups()
            if not indent:
                above = "" if default else f"{key}."
            if default and above not in ("hydra.", "defaults."):
                rows.append([f"{prefix}{above if indent else ''}{key}", default, meaning or ""])
        elif rows and (more := re.match(r" +# (.*)", line)):
            rows[-1][2] += f" {more[1]}"
    return rows


if __name__ == "__main__":
    main()
