"""Parquet tables that the report writes and reads back, so that it shows its files' content."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pyarrow as pa
import pyarrow.parquet as pq

from folk.evidence.core.errors import InputError, brief
from folk.evidence.core.files import atomic_write


class OtherColumnsError(InputError):
    """A table of another version: its columns are not today's."""


_TYPES: dict[Any, Any] = {
    str: pa.string(),
    float: pa.float64(),
    int: pa.int64(),
    bool: pa.bool_(),
}


def schema_of(row: Any) -> Any:
    """Columns of a table whose rows are of a dataclass; nested ones become structs."""
    return pa.schema([(name, _column(kind)) for name, kind in get_type_hints(row).items()])


def _column(kind: Any) -> Any:
    if get_origin(kind) is list:
        return pa.list_(_column(get_args(kind)[0]))
    if get_origin(kind) is UnionType:  # with None
        return _column(get_args(kind)[0])
    return _TYPES[kind] if kind in _TYPES else pa.struct(list(schema_of(kind)))


def write_rows(table: pa.Table, path: Path) -> None:
    """Write a table as parquet, atomically."""
    with atomic_write(path) as temp:
        pq.write_table(table, temp)


def read_rows(path: Path, row: type, what: str) -> pa.Table:
    """Read a table of `write_rows`.

    Args:
        row: the dataclass of its rows.
        what: the word for its rows, for the error.

    Raises:
        InputError: the file is missing, unreadable, has two rows of one id or no value where each
            row has one; `OtherColumnsError` if it has other columns.
    """
    try:
        table = pq.ParquetFile(path).read()  # `read_table` imports pandas: a second
        table.validate(full=True)  # Arrow checks strings only on access, which is too late
    except (OSError, ValueError, pa.ArrowException) as error:
        line = f"{path}: invalid {what}: {brief(error)}; run `report` again"
        raise InputError(line) from error
    if not table.schema.equals(schema_of(row)):
        raise OtherColumnsError(f"{path}: columns of another version; run `report` again")
    for id_, count in Counter(table["id"].to_pylist()).items():
        if count > 1:
            raise InputError(f"{path}: {count} rows for '{id_}'; run `report` again")
    for name, kind in get_type_hints(row).items():
        for empty in _with_nulls(name, kind, table[name].combine_chunks()):
            raise InputError(f"{path}: {what} without a value in '{empty}'; run `report` again")
    return table


def _with_nulls(name: str, kind: Any, values: pa.Array) -> Iterator[str]:
    """Yield the names of columns and nested ones that lack a value, and may not."""
    if get_origin(kind) is UnionType:  # with None
        return
    if values.null_count:
        yield name
    elif get_origin(kind) is list:
        yield from _with_nulls(name, get_args(kind)[0], values.flatten())
    elif kind not in _TYPES:
        for key, inner in get_type_hints(kind).items():
            yield from _with_nulls(f"{name}.{key}", inner, values.field(key))
