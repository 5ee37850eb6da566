"""Check of DVC's digests against the records."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from folk.evidence.audit.findings import Finding
from folk.evidence.audit.subject import Subject

LOCK = Path("dvc.lock")
CACHE = Path(".dvc/cache/files/md5")


def check_dvc(subject: Subject) -> Iterator[Finding]:
    """Compare the md5 of each recorded output with dvc.lock, if present there."""
    try:
        known = _locked(subject)
    except (OSError, yaml.YAMLError, ValueError, KeyError, TypeError) as error:
        yield Finding("tampered", LOCK.as_posix(), f"invalid dvc.lock: {error}")
        return
    if known is None:
        return
    for job in subject.planned.values():
        for output in job.outputs:
            kept = known.get(output["path"])
            if kept is not None and kept != output["md5"]:
                says = f"keeps md5 {kept} for {output['path']}, {job.path} says {output['md5']}; "
                says += "run the workflow, or `seal`, again"
                cells = subject.plan.cells(job.path)
                yield Finding("stale", LOCK.as_posix(), says, cells)


def _locked(subject: Subject) -> dict[str, str] | None:
    """Read path and md5 of each of the study's files in dvc.lock; None without any."""
    if not LOCK.is_file():
        return None
    lock = yaml.safe_load(LOCK.read_text(encoding="utf-8"))
    stage: dict[str, Any] | None = lock["stages"].get(f"reproduce@{subject.study.name}")
    if stage is None:
        return None
    files: dict[str, str] = {}
    for out in stage["outs"]:
        path, md5 = str(out["path"]), str(out["md5"])
        if not md5.endswith(".dir"):
            files[path] = md5
            continue
        listing = CACHE / md5[:2] / md5[2:]
        if not listing.is_file():
            subject.not_checked.append(f"{path}: DVC's listing of it is not in {CACHE}")
            continue
        for entry in json.loads(listing.read_text(encoding="utf-8")):
            files[f"{path}/{entry['relpath']}"] = str(entry["md5"])
    return files
