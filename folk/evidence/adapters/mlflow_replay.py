"""Records and histories of a study in the form of a tracking server."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from folk.evidence.core.errors import InputError
from folk.evidence.record.failures import failed_paths, record_paths, work_folder
from folk.evidence.record.schema import read_record

WEIGHTS = ".safetensors"
VALUE_LENGTH = 6000  # characters; MLflow 3.17's limit of a parameter's value


def records_of(study_dir: Path) -> tuple[list[tuple[Path, dict[str, Any]]], list[str]]:
    """Read every record of a study, makers first, and list the unreadable ones.

    Records of failed jobs are included; those of the report and of this mirror have nothing to
    compare, and are left out.
    """
    records, unreadable = [], []
    for path in sorted([*record_paths(study_dir), *failed_paths(study_dir)]):
        try:
            records.append((path, read_record(path)))
        except InputError as error:
            unreadable.append(str(error))
    return _makers_first(records), unreadable


def _makers_first(records: list[tuple[Path, dict[str, Any]]]) -> list[tuple[Path, dict[str, Any]]]:
    left = {record["id"]: (path, record) for path, record in records}
    order = []

    def visit(record_id: str) -> None:
        if (found := left.pop(record_id, None)) is not None:
            for parent in found[1]["parents"]:
                visit(parent)
            order.append(found)

    for _, record in records:
        visit(record["id"])
    return order


def weights_of(path: Path, record: dict[str, Any]) -> dict[str, Any] | None:
    """Find the weights that a job made for others to read, an entry of its outputs, or None."""
    own = f"{path.parent.name}/*{WEIGHTS}"
    return next((each for each in record["outputs"] if Path(each["path"]).match(own)), None)


def tags_of(record: dict[str, Any]) -> dict[str, Any]:
    """Make tags to search runs by, without unknown values."""
    files = [*record["outputs"], *record["inputs"]]
    encoders = [f["sha256"] for f in files if f["path"].endswith("encoder.safetensors")]
    slurm = record["scheduler"] or {}
    tags = {
        **{f"folk.{key}": record[key] for key in ("study", "stage", "run", "evaluation", "scale")},
        **{f"folk.{key}": record[key] for key in ("seed", "outcome", "recipe_digest")},
        "folk.code_fingerprint": record["code"]["fingerprint"],
        "folk.dirty": record["code"]["dirty"],
        "folk.environment_lock": record["environment"]["lock_sha256"],
        "folk.encoder": encoders[0] if encoders else None,
        "folk.restarts": len(record["restarts"]),
        "folk.parents": record["parents"] or None,
        "folk.error": record["error"]
        and f"{record['error']['type']}: {record['error']['message']}",
        "folk.host": record["hardware"]["host"],
        "folk.job_id": slurm.get("job_id"),
        "mlflow.source.git.commit": record["code"]["commit"],
        "mlflow.source.name": f"python -m folk {record['stage']}",
        "mlflow.source.type": "LOCAL",
    }
    return {key: value for key, value in tags.items() if value is not None}


def history_of(path: Path, record: dict[str, Any]) -> Iterator[tuple[int, int, dict[str, float]]]:
    """Yield step, time in milliseconds and numbers of each line of a record's history.

    The history of a failed job continues in its work folder: only lines of this start count.
    """
    finished = record["outcome"] == "finished"
    folder = path.parent if finished else work_folder(path.parent, record)
    history = folder / "metrics.jsonl"
    if not history.is_file():
        return
    first = milliseconds(record["started"])
    last = milliseconds(record["ended"]) if record["ended"] else first
    for text in history.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            line = json.loads(text)
            moment = int(line.pop("time") * 1000)
            step = int(line.pop("step"))
        except (ValueError, KeyError):
            continue  # the truncated line of a killed job
        if finished or first <= moment <= last:
            yield step, moment, line


def spelt(value: Any) -> str:
    """Format a value as text, truncated to MLflow's limit."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= VALUE_LENGTH else f"{text[: VALUE_LENGTH - 3]}..."


def milliseconds(moment: str) -> int:
    """Convert a record's time to milliseconds since 1970."""
    return int(datetime.fromisoformat(moment).timestamp() * 1000)
