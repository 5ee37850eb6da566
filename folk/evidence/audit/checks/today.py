"""Check of results against today's study and recipes, and of the study that is kept with them."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from folk.evidence.audit.chain import Job
from folk.evidence.audit.findings import Finding
from folk.evidence.audit.subject import Subject
from folk.evidence.core.digest import sha256_of_json
from folk.evidence.core.errors import InputError
from folk.evidence.core.yaml_model import flattened
from folk.evidence.study.effective import effective_path
from folk.evidence.study.study import written_study

SHOWN_KEYS = 3


def check_kept_study(subject: Subject) -> Iterator[Finding]:
    """Report a study.yaml of the results that is no study, so that another file was read."""
    kept = effective_path(subject.results)
    if kept.is_file() and kept != subject.study_path:
        try:
            written_study(kept, subject.study.stages)
        except InputError as error:
            yield Finding("tampered", kept.as_posix(), str(error))


def check_today(subject: Subject, edited_study: bool) -> Iterator[Finding]:
    """Compare each planned job's record with today's recipe values, inputs and scale.

    Args:
        subject: the study.
        edited_study: the study file has other bytes than were sealed, so a difference from it is
            its own.
    """
    for job in subject.planned.values():
        says, cells = "; ".join(_differences(subject, job)), subject.plan.cells(job.path)
        if says and edited_study:
            yield Finding("tampered", subject.study_path.as_posix(), says, cells)
        elif says:
            yield Finding("stale", job.path.as_posix(), says, cells)


def _differences(subject: Subject, job: Job) -> Iterator[str]:
    planned, record = subject.plan.jobs[job.path.parent], job.record
    now = subject.recipes.get((planned.stage, planned.entry))
    if now is None:
        yield f"the recipe of '{planned.entry}' cannot be read; `snakemake -n` says why"
    elif sha256_of_json(now.values) != record["recipe_digest"]:
        yield f"the recipe was changed after the run: {_changed(record['recipe'], now.values)}"
    if record["scale"] != subject.study.scale:
        yield f"made at scale '{record['scale']}', the study has '{subject.study.scale}'"
    read = {_folder(subject, entry["path"]) for entry in job.inputs} - {None}
    if read != set(planned.reads):
        names = ", ".join(path.as_posix() for path in sorted(filter(None, read)))
        yield f"made from {names or 'nothing'}, the study has other data, split or encoder"
    if planned.stage == "prepare":
        yield from _other_archives(subject, job)


def _changed(before: Mapping[str, Any], today: Mapping[str, Any]) -> str:
    old = flattened({key: value for key, value in before.items() if key in today})
    new = flattened(dict(today))
    keys = sorted(k for k in {*old, *new} if old.get(k, "nothing") != new.get(k, "nothing"))
    shown = [f"{k} was {old.get(k, 'nothing')}, is {new.get(k, 'nothing')}" for k in keys]
    more = len(shown) - SHOWN_KEYS
    return "; ".join(shown[:SHOWN_KEYS]) + (f"; {more} more" if more > 0 else "")


def _folder(subject: Subject, path: str) -> Path | None:
    """Return the folder of the job that a file belongs to; None for files from outside."""
    place = Path(path)
    if subject.results not in place.parents:
        return None
    return subject.plan.owner(place) or place.parent


def _other_archives(subject: Subject, job: Job) -> Iterator[str]:
    archives = subject.study.data[str(job.record["run"])].archives
    recorded = {entry["name"]: entry for entry in job.inputs if entry["record"] is None}
    for name in archives:
        if f"archive {name}" not in recorded:
            yield f"the study now has an archive '{name}', which was not read"
