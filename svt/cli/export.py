"""`svt-export`: write a store or results as Parquet files, or a run's graphs for other viewers."""

import json
from collections.abc import Sequence
from pathlib import Path

from svt.cli.console import console, make_parser, write
from svt.db.target import open_target
from svt.query.viewer_graphs import circuit_document, load_graph_source, prompt_document
from svt.store.export import README, export, new_folder
from svt.system.memory import size
from svt.version import VERSION

_EPILOG = """examples:
  svt-export RUN DIR                                 tables as Parquet
  svt-export RUN DIR --format viewer                 the prompt with most edges, and the circuit
  svt-export RUN DIR --format viewer --prompt 3 5    two prompts, and the circuit
"""
_VIEWER_README = """# Attribution graphs of {target}

Written by svt {version}: {names}.

circuit-tracer draws them with `circuit-tracer start-server --graph_file_dir {folder}`. Neuronpedia
takes one of the files as an upload, if it knows the model by the name `scan` in `metadata`.

- A node of the type `attention head` is a head at a token, with its `head`, `role` and `pairs`:
  what it attends to, weight, score and number of slices in the signal. `activation` is the weight.
- A link weighs the contribution, or the effect where the run's graphs are drawn by effect. Its
  `parts` have the side that each edge writes into, contribution, effect and share of that side.
- Heads with a named role are grouped by it (supernodes), and selected at first with the roots.
- The answer's probability is that against the distractor alone; weights into it are direct effects
  on the logit difference.

What the format cannot hold: {lost}.
"""
_LOST = "both sides of a head as separate links, and roles as anything but groups and labels"


def main(argv: list[str] | None = None) -> None:
    """Run the console script `svt-export`."""
    parser = make_parser(
        "svt-export",
        "Write one or more stores, or the results of a run or a sweep, as Parquet, or the graphs "
        "of a run for circuit-tracer's and Neuronpedia's viewer.",
        _EPILOG,
    )
    parser.add_argument("target", type=Path, help="store, pattern of stores, run or sweep folder")
    parser.add_argument("folder", type=Path, help="output folder; must be empty or new")
    parser.add_argument("--format", choices=("parquet", "viewer"), default="parquet")
    parser.add_argument(
        "--prompt", type=int, nargs="+", help="viewer: these prompts [= that with most edges]"
    )
    args = parser.parse_args(argv)
    if args.prompt and args.format != "viewer":
        parser.error("--prompt is of --format viewer alone")
    written = args.folder.resolve()  # now, as the export may replace the working folder
    with console("svt-export", "stopped; nothing was left"):
        if args.format == "viewer":
            export_graphs(args.target, args.folder, args.prompt or [None])
        else:
            export(args.target, args.folder)
        suffix = "json" if args.format == "viewer" else "parquet"
        files = [file for file in written.rglob(f"*.{suffix}") if file.is_file()]
        n_bytes = sum(file.stat().st_size for file in files)
        write(f"{len(files)} files, {size(n_bytes)} in {args.folder}; see {README} there\n")
        if args.format == "viewer":
            write(f"the format does not hold {_LOST}\n")


def export_graphs(target: Path, folder: Path, prompt_ids: Sequence[int | None]) -> None:
    """Write a file for each prompt, one for the traced graph, and the list that viewers read.

    None stands for the prompt with the most shown edges. SvtError, with nothing written, for a
    target without prompts and for a prompt without a trace.
    """
    with open_target(target) as con:
        source = load_graph_source(con)
        graphs = [prompt_document(source, prompt_id) for prompt_id in prompt_ids]
        graphs.append(circuit_document(source))
    files = {f"{graph['metadata']['slug']}.json": graph for graph in graphs}
    with new_folder(folder) as temporary:
        index = {"graphs": [graph["metadata"] for graph in files.values()]}
        for name, content in (*files.items(), ("graph-metadata.json", index)):
            text = json.dumps(content, ensure_ascii=False, allow_nan=False, indent=1)
            (temporary / name).write_text(text + "\n", encoding="utf-8")
        readme = _VIEWER_README.format(
            target=target.name,
            version=VERSION,
            names=", ".join(f"`{name}`" for name in files),
            folder=folder,
            lost=_LOST,
        )
        (temporary / README).write_text(readme, encoding="utf-8")
