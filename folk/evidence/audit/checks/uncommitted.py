"""Check of results from uncommitted code against the stored changes."""

from collections.abc import Iterator

from folk.evidence.audit.chain import Job
from folk.evidence.audit.findings import Finding
from folk.evidence.audit.kept_diff import kept_diff
from folk.evidence.audit.subject import Subject


def check_uncommitted(subject: Subject) -> Iterator[Finding]:
    """Remark on each result made with uncommitted changes, or report a problem of its diff."""
    for job in subject.finished.values():
        if job.diff is not None:
            yield _of(subject, job)


def _of(subject: Subject, job: Job) -> Finding:
    diff, cells = job.diff, subject.plan.cells(job.path)
    assert diff is not None
    place, digest = diff.as_posix(), job.record["code"]["dirty_diff_sha256"]
    made = f"{job.path} was made with uncommitted changes"
    kept = kept_diff(diff, digest)
    if kept == "missing":
        says = f"{made}, which are missing: its code is not known"
        return Finding("missing", place, says, cells)
    if kept == "other":
        return Finding("tampered", place, f"{made}; these differ from its record", cells)
    if kept == "kept":
        says = f"{made} of commit {job.record['code']['commit'] or 'none'}, kept here"
        if b"new file " in diff.read_bytes():
            says += "; new files are known by their digests alone"
    else:
        left = "only their first part is kept" if kept == "cut" else "not UTF-8, so not compared"
        says = f"{made}; {left}"
    return Finding("ok", place, says, cells, remark=True)
