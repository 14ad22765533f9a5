"""`python -m svt.bench`: speed and memory on GPT-2 small's shape, as ratios taken in one run.

1. A checkpoint of that shape with random weights is made in a temporary folder (setting.py).
2. The dump against the bare forward pass, on the processor and on a GPU if there is one; every
   causal pair stored; growth with prompts and tokens (dumps.py).
3. New traces, graphs and interventions over the first store, and interventions on SmolLM2
   (traces.py).
4. The two ways to compute contributions (products.py).
5. Every number is a median with its range; the table is printed, with what was asked for, and
   written to outputs/bench.json beside the machine's description.
"""

import json
import tempfile
from pathlib import Path

import torch

from svt.bench.dumps import N_PROMPTS, dump_rows, everything_rows, growth_rows
from svt.bench.products import product_rows
from svt.bench.rows import Row, machine
from svt.bench.setting import STRONG, configuration, ioi_prompts, make_checkpoint
from svt.bench.traces import COVERAGES, intervention_rows, smollm2_rows, trace_rows
from svt.compute.decompose import decompose_model
from svt.compute.model import load_model
from svt.system.atomic import write_atomically
from svt.system.progress import say

REPEATS = 3
_OUT = Path("outputs") / "bench.json"


def main() -> None:
    """Measures, prints the table, writes outputs/bench.json."""
    with tempfile.TemporaryDirectory() as folder:
        rows = measure(Path(folder))
    content = {"machine": machine(), "rows": [row.plain() for row in rows]}
    write_atomically(_OUT, json.dumps(content, indent=1).encode())
    print(table(rows))
    print(f"written to {_OUT}")


def measure(folder: Path) -> list[Row]:
    """Steps 1 to 4."""
    dataset = ioi_prompts(N_PROMPTS)
    say("making the checkpoint")
    make_checkpoint(folder / "model", dataset.prompts)  # 1
    checkpoint = folder / "model"
    growth = growth_rows(checkpoint, folder)  # 2; first, while this process is small
    rows = dump_rows(checkpoint, folder, "cpu", REPEATS)
    passes = list(rows[0].values)
    if torch.cuda.is_available():
        rows += dump_rows(checkpoint, folder, "cuda", REPEATS)
    rows += growth + everything_rows(checkpoint, folder, REPEATS)
    config, store = configuration(checkpoint, *STRONG), folder / "strong-cpu.duckdb"
    rows += trace_rows(config, folder, store, passes)  # 3
    model = load_model(config.model)
    traced = folder / str(COVERAGES[0])
    rows += intervention_rows(config, traced, store, model, dataset, passes, 4)
    rows += smollm2_rows(folder, REPEATS)
    return rows + product_rows(model, decompose_model(model), REPEATS)  # 4


def table(rows: list[Row]) -> str:
    """Of the processor first, then of the GPU."""
    cells = [("", "measured", "asked", "met")]
    for row in sorted(rows, key=lambda row: row.device):
        device = "" if row.device == "cpu" else f"{row.device}: "
        cells.append((device + row.name, *row.told()))
    widths = [max(len(row[i]) for row in cells) for i in range(4)]
    lines = ("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in cells)
    return "\n".join(line.rstrip() for line in lines)


if __name__ == "__main__":
    main()
