"""Results of code that was not committed: named, and held to the changes kept beside them."""

import hashlib
from collections.abc import Iterator

from folk.audit.chain import Job
from folk.audit.findings import Finding
from folk.audit.subject import Subject


def check_uncommitted(subject: Subject) -> Iterator[Finding]:
    """A remark for each result made with uncommitted changes, or what is wrong with its diff."""
    for job in subject.finished.values():
        if job.diff is not None:
            yield _of(subject, job)


def _of(subject: Subject, job: Job) -> Finding:
    diff, cells = job.diff, subject.plan.cells(job.path)
    assert diff is not None
    place, digest = diff.as_posix(), job.record["code"]["dirty_diff_sha256"]
    made = f"{job.path} was made with uncommitted changes"
    if not diff.is_file():
        says = f"{made}, and they are not there: its code is not known"
        return Finding("missing", place, says, cells)
    text = diff.read_bytes()
    if hashlib.sha256(text).hexdigest() == digest:
        says = f"{made} of commit {job.record['code']['commit'] or 'none'}, kept here"
        if b"new file " in text:
            says += "; new files are known by their digests alone"
        return Finding("ok", place, says, cells, remark=True)
    if text.rstrip().endswith(f"sha256 {digest}]".encode()) and b"\n[cut here: " in text[-200:]:
        return Finding("ok", place, f"{made}; only their first part is kept", cells, remark=True)
    if "\ufffd".encode() in text:
        # The text that was digested held bytes that are not UTF-8; they were replaced to keep it.
        return Finding("ok", place, f"{made}; not UTF-8, so not compared", cells, remark=True)
    return Finding("tampered", place, f"{made}; these are others than its record names", cells)
