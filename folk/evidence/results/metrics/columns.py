"""Columns of stored tables as numpy arrays, without pandas.

Arrow's own `to_numpy`, and its conversion of Python values, imports pandas if installed, which
takes half a second, too long for a query of one number.
"""

import numpy as np
import pyarrow as pa
from jaxtyping import Num, Shaped


def numbers(column: pa.Array | pa.ChunkedArray) -> Num[np.ndarray, "n"]:
    """Return a column of numbers without nulls, in its own type, read-only.

    Raises:
        ArrowException: other types, or a null.
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    found: np.ndarray = np.from_dlpack(array)
    return found


def texts(column: pa.Array | pa.ChunkedArray) -> Shaped[np.ndarray, "n"]:
    """Return a column of strings, as objects."""
    found: np.ndarray = np.array(column.to_pylist(), dtype=object)
    return found
