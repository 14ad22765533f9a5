"""Builds the wheel, installs it into a folder of its own, and runs it there, far from the checkout.

1. The wheel is built by pyproject's own backend and must contain conf/, sql/ and the bundled model.
2. It is installed without dependencies, which are taken from the environment that runs this script.
3. From an empty folder: `svt` on a few prompts, then `svt-sql` on what it left.
"""

import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parent.parent
MUST_HAVE = (
    "svt/conf/config.yaml",
    "svt/conf/dataset/ioi/names.txt",
    "svt/conf/evaluate/ioi-mini.csv",
    "svt/sql/schema/store/pairs.sql",
    "svt/sql/queries/summary.sql",
    "svt/ioi_mini/model/model.safetensors",
    "svt/ioi_mini/model-1/model.safetensors",
    "svt/ioi_mini/model-attn/model.safetensors",
    "svt/conf/evaluate/ioi-mini-attn.csv",
    "svt/sql/intervene/edge_pairs.sql",
    "svt/conf/intervene/default.yaml",
    "svt/charts/templates/report.html.j2",
    "svt/charts/templates/report.css.j2",
)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        wheel = build(Path(folder) / "dist")  # 1
        site = Path(folder) / "site"
        call(
            [
                sys.executable,
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-deps",
                "--target",
                str(site),
                str(wheel),
            ]
        )  # 2
        away = Path(folder) / "away"
        away.mkdir()
        env = {**os.environ, "PYTHONPATH": str(site)}
        where = call([sys.executable, "-c", "import svt; print(svt.__file__)"], away, env)  # 3
        assert where.stdout.startswith(str(site)), where.stdout
        quick = ("dataset.n_prompts=8", "chart.figures=[graph]", "chart.format=[json]")
        script = "from svt.cli.main import main; main()"
        ended = call([sys.executable, "-c", script, *quick], away, env)
        assert "leaked" not in ended.stderr, ended.stderr  # by DuckDB, of what outlives it
        run = next((away / "outputs" / "runs").iterdir())
        call([sys.executable, "-m", "svt.cli.sql", str(run), "summary"], away, env)
    print("the wheel installs elsewhere and runs")


def build(out: Path) -> Path:
    call([sys.executable, "-m", "build", "--wheel", "--outdir", str(out), str(CHECKOUT)])
    (wheel,) = out.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    missing = [name for name in MUST_HAVE if name not in names]
    if missing:
        sys.exit(f"the wheel lacks {', '.join(missing)}")
    return wheel


def call(
    command: list[str], cwd: Path | None = None, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, cwd=cwd, env=env, text=True, capture_output=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
    return done


if __name__ == "__main__":
    main()
