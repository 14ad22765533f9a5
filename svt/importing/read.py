"""Reads a circuit, whatever its format: by the file's ending, .graphml, .csv or .json."""

from collections.abc import Callable
from pathlib import Path

from svt.errors import DataError
from svt.importing.circuit import Circuit, strongest
from svt.importing.csv_file import read_csv
from svt.importing.graphml import read_graphml
from svt.importing.json_file import read_json
from svt.words import Count


def read_circuit(file: Path, count: Count | None = None, top: int | None = None) -> Circuit:
    """The circuit in the file; DataError, with the place in it, when there is none.

    `count` is what the file's counts count, `top` how many of the strongest edges are taken.
    """
    if not file.is_file():
        raise DataError(f"{file}: no such file; give a circuit as .graphml, .csv or .json")
    readers: dict[str, Callable[[], Circuit]] = {
        ".graphml": lambda: read_graphml(file, count),
        ".csv": lambda: read_csv(file, count),
        ".json": lambda: read_json(file, count, top),
    }
    ending = file.suffix.lower()
    if ending not in readers:
        raise DataError(
            f"{file}: a file {ending or 'without ending'} is not read; give a circuit as .graphml, "
            ".csv or .json"
        )
    circuit = readers[ending]()
    circuit = circuit if top is None else strongest(circuit, top)
    if not circuit.heads:
        raise DataError(f"{file}: holds no attention head; svt holds circuits of heads")
    return circuit
