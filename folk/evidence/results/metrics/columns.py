"""Columns of stored tables as numpy arrays, without pandas.

Arrow's own `to_numpy`, and all that turns a Python value into one of Arrow's, imports pandas
wherever it is installed: half a second that an auditor who asks for one number need not wait.
"""

import numpy as np
import pyarrow as pa
from jaxtyping import Num, Shaped


def numbers(column: pa.Array | pa.ChunkedArray) -> Num[np.ndarray, "n"]:
    """A column of numbers without gaps, in its own type, not to be written to.

    Raises:
        ArrowException: it holds something else, or a gap.
    """
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    found: np.ndarray = np.from_dlpack(array)
    return found


def texts(column: pa.Array | pa.ChunkedArray) -> Shaped[np.ndarray, "n"]:
    """A column of strings, as objects."""
    found: np.ndarray = np.array(column.to_pylist(), dtype=object)
    return found
