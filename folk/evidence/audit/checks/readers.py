"""Check of the bytes that different jobs read of one file that no job made."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from folk.evidence.audit.chain import Job
from folk.evidence.audit.checks.files import FilesRead, readings
from folk.evidence.audit.findings import Finding
from folk.evidence.audit.subject import Subject


def check_readers(subject: Subject, files: FilesRead) -> Iterator[Finding]:
    """Report a file that two jobs read with different bytes: one of them read what is gone.

    A file that a job of the study made is compared by its link in the chain.
    """
    made = {Path(output["path"]) for job in subject.finished.values() for output in job.outputs}
    by_path: dict[Path, dict[str, list[Job]]] = defaultdict(dict)
    for (path, sha256), readers in readings(subject).items():
        if path not in made:
            by_path[path][sha256] = [job for job, _ in readers]
    for path, by_digest in by_path.items():
        if len(by_digest) == 1:
            continue
        here = files.sha256.get(path)
        others = [job for sha256, jobs in by_digest.items() if sha256 != here for job in jobs]
        read = "; ".join(f"{jobs[0].path} read {s[:12]}" for s, jobs in by_digest.items())
        cells = subject.plan.cells(*(job.path for job in others))
        yield Finding("stale", path.as_posix(), f"not the same bytes for all jobs: {read}", cells)
