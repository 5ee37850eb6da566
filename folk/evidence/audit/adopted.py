"""Whether a record was adopted, and whether its job would do the same today."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from folk.evidence.record.schema import read_record

# What a record read that the study chose; recipes are compared by value, the rest comes with these.
CHOSEN = ("dataset.json", "keys.parquet", "encoder.safetensors", "classifier.safetensors")


def adopted_record(path: Path, adopted: Mapping[str, str]) -> dict[str, Any] | None:
    """The record at `path` if it is one of the adopted, else None.

    Raises:
        InputError: it is no record.
    """
    wanted = adopted.get(path.as_posix())
    if wanted is None or not path.is_file():
        return None
    record = read_record(path)
    return record if record["id"] == wanted else None


def is_of_today(record: dict[str, Any], recipe_digest: str, code: str, inputs: set[str]) -> bool:
    """Whether a job would do today what its record says that it did.

    Args:
        record: of the job.
        recipe_digest: of today's recipe.
        code: fingerprint of today's code; "reported" where a change of it is only reported.
        inputs: paths of the data, split, encoder or classifier that the job would read today.
    """
    made = [entry["path"] for entry in record["inputs"] if entry["record"]]
    read = {path for path in made if Path(path).name in CHOSEN}
    same_code = code in ("reported", record["code"]["fingerprint"])
    return bool(record["recipe_digest"] == recipe_digest and same_code and read == inputs)
