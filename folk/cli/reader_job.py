"""Execution of a job that reads all records of a study: `report` and `track`."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from folk.cli.job import log_clamped
from folk.evidence.core.digest import sha256_of_json
from folk.evidence.core.files import clamp_future_mtimes
from folk.evidence.record.failures import WORK, record_paths
from folk.evidence.record.fingerprint import SOURCE, code_fingerprint
from folk.evidence.record.record import open_record
from folk.evidence.study.study import Study


def run_reader(
    stage: str,
    study: Study,
    results: Path,
    recipe: Mapping[str, Any],
    others: Mapping[str, Path],
    task: Callable[[], list[Path]],
) -> list[Path]:
    """Run the task under its record, `<results>/<stage>/record.json`.

    Args:
        stage: "report" or "track", which is the name of its module too.
        study: the study, for the record.
        results: the study's own folder, such as `results/demo`.
        recipe: values of the study that decide what it makes.
        others: name -> file that it reads, other than records; see `is_by_value` for the names.
        task: does the work and returns the files that it wrote, below `results`.

    Returns:
        the files written.

    Raises:
        InputError: an unreadable record or missing file, or as `task`; a failure has a record.
    """
    records = record_paths(results)
    log_clamped(clamp_future_mtimes([*others.values(), *records]))
    inputs = {f"record {path.parent.relative_to(results).as_posix()}": path for path in records}
    with open_record(
        results / WORK / stage,
        study=study.name,
        stage=stage,
        run=None,
        evaluation=None,
        argv=["python", "-m", "folk", *sys.argv[1:]],
        recipe=recipe,
        recipe_digest=sha256_of_json(recipe),
        seed=None,
        inputs={**inputs, **others},
        code=code_fingerprint(f"folk.cli.{stage}", SOURCE),
        scale=study.scale,
        root=SOURCE,
    ) as record:
        written = task()
        outputs = {path.relative_to(results).as_posix(): path for path in written}
        record.finish(outputs, {}, results / stage / "record.json")
    return written
