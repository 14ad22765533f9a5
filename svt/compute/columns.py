"""What compute hands to the store: batches of tables, each a name to NumPy column mapping.

Codes stand for the two ENUM types, in the order of their names here. A missing value is masked
in an integer or boolean column and NaN in a float column.
"""

import numpy as np
from numpy.typing import NDArray

SIDES = ("dest", "src")
COMPONENTS = ("head", "mlp", "embed", "pos_embed", "bias")
HEAD = COMPONENTS.index("head")

Columns = dict[str, NDArray[np.generic]]
Batch = dict[str, Columns]  # table name -> columns
