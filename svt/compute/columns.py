"""Tables as compute passes them to the store: mappings from column names to arrays.

1. Columns are NumPy arrays. The two ENUM types are codes, indices into the order of their names.
   A missing value is masked in an integer or boolean column and NaN in a float column.
2. A column of lists is an Arrow array that shares the memory of a NumPy one.
"""

from typing import TypeAlias

import numpy as np
import pyarrow as pa
from jaxtyping import Shaped
from numpy.typing import NDArray

from svt.words import COMPONENTS

HEAD = COMPONENTS.index("head")

Column: TypeAlias = NDArray[np.generic] | pa.ListArray | pa.ChunkedArray
Columns = dict[str, Column]
Batch = dict[str, Columns]  # table name -> columns


def to_lists(values: Shaped[np.ndarray, "row entry"]) -> pa.ListArray:
    """Return a column with one list for each row of `values` (step 2)."""
    n_rows, n_entries = values.shape
    return to_ragged_lists(values.ravel(), np.full(n_rows, n_entries))


def to_ragged_lists(
    values: Shaped[np.ndarray, " entry"], lengths: NDArray[np.integer]
) -> pa.ListArray:
    """Return a column of lists of these lengths, which `values` holds one after the other."""
    ends = np.zeros(len(lengths) + 1, np.int32)
    np.cumsum(lengths, out=ends[1:])
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(values))
