"""Adopted records, and their comparison with today's jobs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from folk.evidence.record.schema import read_record

# Inputs chosen by the study; recipes are compared by value, the rest follows from these.
CHOSEN = ("dataset.json", "keys.parquet", "encoder.safetensors", "classifier.safetensors")


def adopted_record(path: Path, adopted: Mapping[str, str]) -> dict[str, Any] | None:
    """Read the record at `path` if it is adopted, else return None.

    Raises:
        InputError: invalid record.
    """
    wanted = adopted.get(path.as_posix())
    if wanted is None or not path.is_file():
        return None
    record = read_record(path)
    return record if record["id"] == wanted else None


def is_of_today(record: dict[str, Any], recipe_digest: str, code: str, inputs: set[str]) -> bool:
    """Return True if a job would have the same recipe, code and inputs today.

    Args:
        record: of the job.
        recipe_digest: of today's recipe.
        code: fingerprint of today's code; "reported" if code changes are only reported.
        inputs: paths of the data, split, encoder or classifier that the job would read today.
    """
    made = [entry["path"] for entry in record["inputs"] if entry["record"]]
    read = {path for path in made if Path(path).name in CHOSEN}
    same_code = code in ("reported", record["code"]["fingerprint"])
    return bool(record["recipe_digest"] == recipe_digest and same_code and read == inputs)
