"""Columns of stored tables: read with their types checked, and as numpy arrays, without pandas.

Arrow's own `to_numpy`, and its conversion of Python values, imports pandas if installed, which
takes half a second, too long for a query of one number.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Num, Shaped

from folk.evidence.core.errors import InputError, brief

_is_text, _is_count = pa.types.is_string, pa.types.is_signed_integer
# Checks of the types that the columns of predictions and manifests have; others are numbers.
_TYPES: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("key", "variant", "split", "sha256"), _is_text),
    **dict.fromkeys(("label", "predicted", "bytes"), _is_count),
    "top5": lambda of: pa.types.is_fixed_size_list(of) and _is_count(of.value_type),
    "probability": lambda of: (
        pa.types.is_fixed_size_list(of) and pa.types.is_floating(of.value_type)
    ),
    "confusion": lambda of: pa.types.is_list(of) and _is_count(of.value_type),
}


def read_columns(
    path: Path,
    columns: Sequence[str],
    optional: Sequence[str] = (),
    *,
    what: str = "predictions",
    may_be_empty: bool = False,
) -> pa.Table:
    """Read some columns of stored predictions, or of a manifest.

    Args:
        optional: columns that are read if they are there.
        what: the word for the table, for the error.
        may_be_empty: True if a file may have no rows.

    Raises:
        InputError: a missing or damaged file, or one without rows; a column that is missing, there
            twice or of another type, or that has a null.
    """
    with _opened(path, what, columns, optional) as (file, names):
        table = file.read(names)
        if table.num_rows == 0 and not may_be_empty:
            raise ValueError("expected rows")
        _check_values(table)
    return table


def read_batches(path: Path, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Read as `read_columns`, part by part: ImageNet-C alone has 3.75 million images.

    Raises:
        InputError: as `read_columns`, but a file may have no rows.
    """
    with _opened(path, "predictions", columns) as (file, names):
        for batch in file.iter_batches(columns=names):
            _check_values(batch)
            yield batch


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


@contextmanager
def _opened(
    path: Path, what: str, columns: Sequence[str], optional: Sequence[str] = ()
) -> Iterator[tuple[pq.ParquetFile, list[str]]]:
    """Open a table whose columns have the right types; give it and the names to read."""
    try:
        # Not `read_table`: it imports pandas, which costs more than a second.
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            names = [*columns, *(name for name in optional if name in schema.names)]
            for name in names:
                if (count := schema.names.count(name)) != 1:
                    raise ValueError(f"expected one column '{name}', got {count}")
                if not _TYPES.get(name, pa.types.is_primitive)(kind := schema.field(name).type):
                    raise ValueError(f"column '{name}' has another type, {kind}")
            yield file, names
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise InputError(f"{path}: invalid {what}: {brief(error)}") from error


def _check_values(table: pa.Table | pa.RecordBatch) -> None:
    table.validate(full=True)  # Arrow checks strings only on access, which is too late
    for name in table.schema.names:
        column = table[name]
        inner = pc.list_flatten(column) if pa.types.is_nested(column.type) else column
        if column.null_count or inner.null_count:
            raise ValueError(f"column '{name}' has a null")
