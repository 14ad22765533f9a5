"""`python -m svt.bench`: speed and memory on GPT-2 small's shape, as ratios within one run.

1. Make a checkpoint of that shape with random weights in a temporary folder (setting.py).
2. Compare the dump with the bare forward pass, on the CPU and on a GPU if there is one; measure a
   dump of every causal pair and the growth with prompts and tokens (dumps.py).
3. Measure traces, graphs and interventions over the first store; the dump, traces and interventions
   on SmolLM2 (traces.py).
4. Compare the two ways to compute contributions (products.py).
5. Run two layers of the shapes of larger models and calculate the rest (larger.py).
6. Print every median with its range and its limit, and write them with a description of the machine
   to outputs/bench.json.
"""

import argparse
import json
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from svt.bench.dumps import N_PROMPTS, dump_rows, everything_rows, growth_rows
from svt.bench.larger import larger_rows
from svt.bench.products import product_rows
from svt.bench.rows import Row, describe_machine
from svt.bench.setting import STRONG, configuration, draw_ioi, make_checkpoint
from svt.bench.traces import (
    COVERAGES,
    intervention_rows,
    smollm2_rows,
    top_firing_heads,
    trace_rows,
)
from svt.cli.console import say, show_messages
from svt.compute.decompose import decompose_model
from svt.compute.load import load_model
from svt.system.atomic import write_atomically

_OUT = Path("outputs") / "bench.json"


def main(argv: list[str] | None = None) -> None:
    """Measure, print the table and write outputs/bench.json."""
    parser = argparse.ArgumentParser(prog="python -m svt.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", help=f"of {' '.join(PARTS)}; default: all")
    parser.add_argument("--repeats", type=int, default=3, help="of each timing (default: 3)")
    args = parser.parse_args(argv)
    parts = args.parts or list(PARTS)
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    show_messages()
    rows: list[Row] = []
    for part in parts:
        with tempfile.TemporaryDirectory() as folder:
            rows += PARTS[part](Path(folder), args.repeats)
    content = {"machine": describe_machine(), "rows": [row.to_json() for row in rows]}
    write_atomically(_OUT, json.dumps(content, indent=1).encode())
    print(format_table(rows))
    print(f"written to {_OUT}")


def gpt2_rows(folder: Path, repeats: int) -> list[Row]:
    """Return the rows of steps 1 to 4 without SmolLM2."""
    dataset = draw_ioi(N_PROMPTS)
    say("making the checkpoint")
    make_checkpoint(folder / "model", dataset.prompts)  # 1
    checkpoint = folder / "model"
    growth = growth_rows(checkpoint, folder)  # 2; first, while this process is small
    goals = {"set_up": 0.5, "strong": 1.25, "effects": 1.8}
    rows = dump_rows(configuration(checkpoint), dataset, folder, repeats, goals)
    passes = list(rows[0].values)
    if torch.cuda.is_available():
        cuda = configuration(checkpoint, "model.device=cuda")
        rows += dump_rows(cuda, dataset, folder, repeats, goals)
    rows += growth + everything_rows(checkpoint, folder, repeats)
    config, store = configuration(checkpoint, *STRONG), folder / "strong-cpu.duckdb"
    config = replace(config, trace=replace(config.trace, roots=top_firing_heads(store)))
    rows += trace_rows(config, folder, store, passes, 0.05)  # 3
    model = load_model(config.model)
    traced = folder / str(COVERAGES[0])
    rows += intervention_rows(config, traced, store, model, dataset, passes, 4)
    return rows + product_rows(model, decompose_model(model), repeats)  # 4


PARTS = {"gpt2": gpt2_rows, "smollm2": smollm2_rows, "larger": larger_rows}


def format_table(rows: list[Row]) -> str:
    """Return the table of rows, the CPU's before the GPU's."""
    cells = [("", "measured", "limit", "met")]
    for row in sorted(rows, key=lambda row: row.device):
        device = "" if row.device == "cpu" else f"{row.device}: "
        cells.append((device + row.name, *row.cells()))
    widths = [max(len(row[i]) for row in cells) for i in range(4)]
    lines = ("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in cells)
    return "\n".join(line.rstrip() for line in lines)


if __name__ == "__main__":
    main()
