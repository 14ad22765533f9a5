"""Read a circuit in the format of the file's extension, .graphml, .csv or .json."""

from collections.abc import Callable
from pathlib import Path

from svt.errors import DataError
from svt.importing.circuit import Circuit, keep_strongest
from svt.importing.csv_file import read_csv
from svt.importing.graphml import read_graphml
from svt.importing.json_file import read_json
from svt.words import Count


def read_circuit(file: Path, count: Count | None = None, top: int | None = None) -> Circuit:
    """Return the circuit in the file; a DataError names the place that is wrong.

    `count` is what the file's counts count (None for the default of the format), `top` the number
    of strongest edges to select (None for all).
    """
    if not file.is_file():
        raise DataError(f"{file}: no such file; pass a circuit as .graphml, .csv or .json")
    readers: dict[str, Callable[[], Circuit]] = {
        ".graphml": lambda: read_graphml(file, count),
        ".csv": lambda: read_csv(file, count),
        ".json": lambda: read_json(file, count, top),
    }
    extension = file.suffix.lower()
    if extension not in readers:
        raise DataError(
            f"{file}: {extension or 'no extension'} is not supported; pass a circuit as "
            ".graphml, .csv or .json"
        )
    circuit = readers[extension]()
    circuit = circuit if top is None else keep_strongest(circuit, top)
    if not circuit.heads:
        raise DataError(f"{file}: holds no attention head; svt reads circuits of heads")
    return circuit
