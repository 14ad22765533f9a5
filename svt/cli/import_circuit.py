"""`svt-import`: write a circuit of another tool as the results of a run.

1. Read the file by its extension: GraphML (svt/importing/graphml.py), CSV (csv_file.py) or JSON
   (json_file.py). Invalid content is refused with its line, row, node or edge.
2. Write its edges, heads and roots into a folder like a run's (svt/importing/write.py), evaluated
   against the reference, if there is one.
3. Print a summary. An error is one line and exit code 2.
"""

import shlex
from dataclasses import replace
from pathlib import Path

from svt.charts.style import head_names, plural, ratio
from svt.cli.console import console, make_parser, write
from svt.db.target import open_target
from svt.errors import SvtError
from svt.importing.circuit import Circuit, Head
from svt.importing.nodes import parse_node
from svt.importing.read import read_circuit
from svt.importing.write import write_circuit
from svt.query.named import run
from svt.system.shell import find_command, format_override
from svt.words import COUNTS

_EPILOG = """how values are read:
  side     s, k, src: input of the downstream head's key, at the token attended to (src);
           d, q, dest: input of its query, at the token that attends (dest);
           v, or nothing: an edge without a side, into the value or unknown
  role     the token of a GraphML node (9, 6, 'IO'), a column role, or the token of a firing
  counts   GraphML: count is visits; CSV: count is prompts; --count overrides this. Without counts,
           every edge has one visit
  weight   weight, mean or score is the edge's mean; total is its total
  others   MLPs, biases and embeddings that write into heads are kept; edges into MLPs and logits
           are not

A circuit of heads alone has no edges: its heads are in it at every threshold.

examples:
  svt-import gpt2-small-ioi.graphml --roots 9.6,9.9,10.0 --reference wang2023 --min-count 170
  svt-import ioi_eap.json --reference wang2023
  svt-import heads.csv --out outputs/imports/theirs
"""


def main(argv: list[str] | None = None) -> None:
    """Run the console script `svt-import`."""
    description = (
        "Read a circuit (.graphml, .csv, .json) into the tables of a run, without a store."
    )
    parser = make_parser("svt-import", description, _EPILOG)
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.add_argument("--out", type=Path, metavar="DIR", help="[= outputs/imports/NAME]")
    parser.add_argument("--name", help="of the circuit [= the file's]")
    parser.add_argument("--roots", help="heads that the circuit starts from, 9.6,9.9,10.0")
    parser.add_argument(
        "--reference", default="none", help="wang2023, ioi-mini, a CSV of heads, or none [= none]"
    )
    parser.add_argument("--count", choices=COUNTS, help="unit of the counts in the file")
    parser.add_argument(
        "--min-count", type=int, default=1, metavar="N", help="show edges from this count [= 1]"
    )
    parser.add_argument(
        "--top", type=int, metavar="N", help="only the N edges of the largest absolute weight"
    )
    args = parser.parse_args(argv)
    with console("svt-import"):
        for option in ("top", "min_count"):
            value = getattr(args, option)
            if value is not None and not 1 <= value < 2**63:
                raise SvtError(f"--{option.replace('_', '-')} must be at least 1, and of 64 bits")
        circuit = read_circuit(args.file, args.count, args.top)  # 1
        if args.roots is not None:
            circuit = replace(circuit, roots=_parse_heads(args.roots))
        name = args.name or args.file.stem
        folder = args.out or Path("outputs/imports") / name
        write_circuit(circuit, args.file, folder, name, args.reference, args.min_count)  # 2
        write(_summarise(circuit, folder, name) + "\n")  # 3


def _parse_heads(text: str) -> tuple[Head, ...]:
    heads = [parse_node(part.strip(), "--roots").at for part in text.split(",")]
    if None in heads:
        raise SvtError(f"--roots={text}: give heads, such as 9.6,10.0")
    return tuple(dict.fromkeys(head for head in heads if head is not None))


def _summarise(circuit: Circuit, folder: Path, name: str) -> str:
    with open_target(folder) as con:
        edges, nodes = run(con, "shown_edges"), run(con, "graph_nodes")
        ((least,),) = con.execute(
            "SELECT (config->>'$.trace.min_count')::BIGINT FROM run"
        ).fetchall()
        rows = run(con, "precision_recall", min_count=least).to_dicts()
    lines = [
        f"{name}: {plural(len(circuit.heads), 'head')}, {plural(len(circuit.edges), 'edge')}, read "
        f"as {circuit.format}; shown: {nodes.height} and {edges.height}",
        *(f"left out: {what}" for what in circuit.left_out),
        *(f"note: {note}" for note in circuit.notes),
    ]
    for what, heads in (
        ("roots", circuit.roots),
        ("roots that the file does not name", sorted({*circuit.roots} - circuit.heads)),
    ):
        if heads:
            lines.append(f"{what}: {head_names(heads)}")
    lines += [
        f"against {row['reference']}: {row['tp']} of {plural(row['n_heads'], 'head')}, precision "
        f"{ratio(row['precision'])}, recall {ratio(row['recall'])}, of the reachable "
        f"{ratio(row['recall_reachable'])}"
        for row in rows
    ]
    at, svt, sql = shlex.quote(str(folder)), find_command("svt"), find_command("svt-sql")
    return "\n".join(
        [
            *lines,
            "",
            "try next:",
            f'  {svt} {format_override("run.path", folder)} "stages=[chart,report]"',
            f"  {sql} {at} precision_recall",
            f"  {sql} RUN --other {at} compare_heads",
        ]
    )


if __name__ == "__main__":
    main()
