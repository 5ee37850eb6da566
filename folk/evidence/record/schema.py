"""Reading and writing of records, validated against record.schema.json."""

import hashlib
import json
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import rfc8785

from folk.evidence.core.digest import sha256_of_json
from folk.evidence.core.errors import InputError
from folk.evidence.core.files import write_json
from folk.evidence.core.json_file import read_json

SCHEMA_PATH = Path(__file__).with_name("record.schema.json")
FORMATS = (1, 2)  # that are read; the last one is written


def record_id(record: dict[str, Any]) -> str:
    """Compute the id of a record: the sha256 of everything in it but its id, as canonical JSON.

    Records of format 1 have numbers as Python writes them.

    Raises:
        ValueError: a number that JSON cannot hold exactly, such as an integer above 2^53.

    Source: RFC 8785, JSON Canonicalization Scheme, for format 2.
    """
    content = {key: value for key, value in record.items() if key != "id"}
    if record.get("format") == 1:
        return sha256_of_json(content)
    return hashlib.sha256(rfc8785.dumps(content)).hexdigest()


def write_record(path: Path, record: dict[str, Any]) -> None:
    """Write a record atomically.

    Raises:
        AssertionError: it violates the schema, which is a bug.
    """
    problem = schema_problem(record)
    assert problem is None, f"{path}: {problem}"
    write_json(path, record)


def read_record(path: Path) -> dict[str, Any]:
    """Read a record and validate its form; the audit checks its id.

    Raises:
        InputError: the file is missing, invalid JSON or violates the schema.
    """
    record = read_json(path, "restore it, or run that job again")
    written = record.get("format") if isinstance(record, dict) else None
    if isinstance(written, int) and written not in FORMATS:
        raise InputError(
            f"{path}: expected a record of format {FORMATS[-1]}, got {written}; use the version "
            "of the code that made it, or make the results anew"
        )
    problem = schema_problem(record) or _time_problem(record)
    if problem is not None:
        raise InputError(f"{path}: invalid record: {problem}")
    assert isinstance(record, dict)
    return record


def schema_problem(record: Any) -> str | None:
    """Return the first violation of the schema, or None."""
    # Imported here: it takes a quarter of a second, which only some commands need.
    from jsonschema.exceptions import best_match  # type: ignore[import-untyped]

    error = best_match(_validator().iter_errors(record))
    if error is None:
        return None
    where = ".".join(map(str, error.absolute_path)) or "record"
    return f"{where}: {error.message[:300]}"


def _time_problem(record: dict[str, Any]) -> str | None:
    """Return a time that is well-formed but does not exist, or None."""
    starts = [record, *record["restarts"]]
    for moment in (start[key] for start in starts for key in ("started", "ended")):
        try:
            datetime.fromisoformat(moment or "2000-01-01")
        except ValueError as error:
            return f"{moment}: {error}"
    return None


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

    return Draft202012Validator(json.loads(SCHEMA_PATH.read_text(encoding="utf-8")))
