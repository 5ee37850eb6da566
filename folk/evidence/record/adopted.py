"""Which records of a study came by pull: `adopt` notes it, report and audit read it."""

from pathlib import Path

from folk.evidence.core.errors import InputError
from folk.evidence.core.json_file import read_keys

ADOPTED_NAME = "adopted.json"


def read_adopted(results: Path) -> dict[str, str]:
    """Path and id of each record that was adopted; nothing where nothing was.

    An entry means something only while the record at that path still has that id.

    Args:
        results: the study's own folder, such as `results/demo`.

    Raises:
        InputError: the file is not what `adopt` writes.
    """
    path = results / ADOPTED_NAME
    if not path.is_file():
        return {}
    note = read_keys(path, "run `adopt` again")
    try:
        return {str(entry["path"]): str(entry["id"]) for entry in note["records"]}
    except (KeyError, TypeError) as error:
        raise InputError(f"{path}: not what `adopt` writes: {error}; run it again") from error
