"""Parquet tables that the report writes and reads back, so that it shows its files' content."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from folk.evidence.core.errors import InputError, brief
from folk.evidence.core.files import atomic_write


def write_rows(table: pa.Table, path: Path) -> None:
    """Write a table as parquet, atomically."""
    with atomic_write(path) as temp:
        pq.write_table(table, temp)


def read_rows(path: Path, schema: pa.Schema, what: str) -> pa.Table:
    """Read a table of `write_rows`.

    Args:
        path: the file.
        schema: the expected columns.
        what: the word for its rows, for the error.

    Raises:
        InputError: the file is missing, unreadable or has other columns.
    """
    try:
        table = pq.ParquetFile(path).read()  # `read_table` imports pandas: a second
        table.validate(full=True)  # Arrow checks strings only on access, which is too late
    except (OSError, ValueError, pa.ArrowException) as error:
        line = f"{path}: invalid {what}: {brief(error)}; run `report` again"
        raise InputError(line) from error
    if not table.schema.equals(schema):
        raise InputError(f"{path}: columns of another version; run `report` again")
    return table
