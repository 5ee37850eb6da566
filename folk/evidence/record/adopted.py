"""Records of a study that came by pull, noted by `adopt`."""

from pathlib import Path

from folk.evidence.core.errors import InputError
from folk.evidence.core.json_file import read_keys

ADOPTED_NAME = "adopted.json"


def read_adopted(results: Path) -> dict[str, str]:
    """Read path and id of each adopted record; empty without any.

    An entry is valid only while the record at that path has that id.

    Raises:
        InputError: the file is invalid.
    """
    path = results / ADOPTED_NAME
    if not path.is_file():
        return {}
    note = read_keys(path, "run `adopt` again")
    try:
        return {str(entry["path"]): str(entry["id"]) for entry in note["records"]}
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: invalid: {error}; run `adopt` again") from error
