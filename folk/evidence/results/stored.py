"""Rows that the report stores as parquet and reads back, so that it shows what its files say."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from folk.evidence.core.errors import InputError, brief
from folk.evidence.core.files import atomic_write


def write_rows(table: pa.Table, path: Path) -> None:
    """Write a table as parquet, whole or not at all."""
    with atomic_write(path) as temp:
        pq.write_table(table, temp)


def read_rows(path: Path, schema: pa.Schema, what: str) -> pa.Table:
    """Read a table that `write_rows` wrote.

    Args:
        path: the file.
        schema: what its columns must be.
        what: the word for its rows, for the error.

    Raises:
        InputError: it is missing, unreadable or has other columns.
    """
    try:
        table = pq.ParquetFile(path).read()  # `read_table` imports pandas: a second
        table.validate(full=True)  # words are looked at when they are read, which is too late
    except (OSError, ValueError, pa.ArrowException) as error:
        line = f"{path}: not readable as {what}: {brief(error)}; run `report` again"
        raise InputError(line) from error
    if not table.schema.equals(schema):
        raise InputError(f"{path}: its columns are not those of this version; run `report` again")
    return table
