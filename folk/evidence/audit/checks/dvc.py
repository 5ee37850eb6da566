"""Check of DVC's digests against the records."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from folk.evidence.audit.findings import Finding
from folk.evidence.audit.subject import Subject
from folk.evidence.core.digest import digest_tree
from folk.evidence.core.errors import brief_with_type

LOCK = Path("dvc.lock")
CACHE = Path(".dvc/cache/files/md5")


def check_dvc(subject: Subject) -> Iterator[Finding]:
    """Compare the md5 of each recorded output, also of the report, with dvc.lock."""
    try:
        known = _locked(subject)
    except (
        OSError, yaml.YAMLError, ValueError, KeyError, TypeError, AttributeError, RecursionError
    ) as error:  # fmt: skip
        yield Finding("tampered", LOCK.as_posix(), f"invalid dvc.lock: {brief_with_type(error)}")
        return
    for job in [*subject.planned.values(), *subject.readers.values()]:
        for output in job.outputs:
            path = Path(output["path"])
            below = next((p for p in (path, *path.parents) if p in known), None)
            if below is None:
                continue
            kept = known[below].get(path.as_posix())
            if kept != output["md5"]:
                says = f"keeps md5 {kept or 'none'} for {path}, {job.path} says {output['md5']}; "
                says += "run the workflow, or `seal`, again"
                cells = subject.plan.cells(job.path) or subject.plan.printed_in(path)
                yield Finding("stale", LOCK.as_posix(), says, cells)


def _locked(subject: Subject) -> dict[Path, dict[str, str]]:
    """Read the study's outputs in dvc.lock, and of each path and md5 of its files.

    A folder's files are those of DVC's listing, or those here if their listing has the same md5.
    If neither is there, none is known; without a cache the folder is left out.
    """
    if not LOCK.is_file():
        return {}
    lock = yaml.safe_load(LOCK.read_text(encoding="utf-8"))
    stage: dict[str, Any] = lock["stages"].get(f"reproduce@{subject.study.name}") or {"outs": []}
    found: dict[Path, dict[str, str]] = {}
    for out in stage["outs"]:
        path, md5 = str(out["path"]), str(out["md5"])
        if not md5.endswith(".dir"):
            found[Path(path)] = {path: md5}
            continue
        listing = CACHE / md5[:2] / md5[2:]
        content = listing.read_bytes() if listing.is_file() else _listing(Path(path))
        if hashlib.md5(content, usedforsecurity=False).hexdigest() != md5.removesuffix(".dir"):
            if listing.is_file():
                raise ValueError(f"{listing} does not have the md5 of its name")
            if not CACHE.is_dir():
                subject.not_checked.append(f"{path}: DVC's listing of it is not in {CACHE}")
                continue
            content = b"[]"
        entries = json.loads(content)
        found[Path(path)] = {f"{path}/{entry['relpath']}": str(entry["md5"]) for entry in entries}
    return found


def _listing(folder: Path) -> bytes:
    """List the files of a folder as DVC does; nothing if there is no folder."""
    if not folder.is_dir():
        return b""
    entries = [{"md5": file.md5, "relpath": file.path} for file in digest_tree(folder)]
    return json.dumps(entries).encode()
