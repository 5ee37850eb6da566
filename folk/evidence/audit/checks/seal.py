"""Check of the records and small results against the seal."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from folk.evidence.audit.chain import Job
from folk.evidence.audit.checks.records import made_since
from folk.evidence.audit.findings import Finding
from folk.evidence.audit.plan import folder_of
from folk.evidence.audit.seal import (
    NOT_OF_HEAD,
    Seal,
    committed_copy,
    follows,
    problems_of,
    seal_path,
)
from folk.evidence.audit.signature import check_signature
from folk.evidence.audit.subject import Subject
from folk.evidence.core.digest import sha256_or_none
from folk.evidence.core.errors import InputError
from folk.evidence.record.failures import READERS
from folk.evidence.record.schema import read_record


def check_seal(subject: Subject, signers: Path | None) -> Iterator[Finding]:
    """Compare the seal with itself, its signature, the records, and files that no record names."""
    place = seal_path(subject.results)
    yield from check_signed(subject, place, signers)
    seal, every = subject.seal, tuple(subject.plan.cell_ids)
    yield from _committed(subject, place)
    if seal is None:
        if place.exists():
            yield Finding("tampered", place.as_posix(), "invalid seal", every)
        elif subject.committed is None:
            yield Finding("missing", place.as_posix(), "not sealed", remark=True)
        return
    if not seal.holds:  # its entries count for nothing
        yield Finding("tampered", place.as_posix(), "its digests do not match: edited", every)
        return
    if seal.study != subject.study.name:
        yield Finding("foreign", place.as_posix(), f"seal of another study '{seal.study}'")
        return
    if seal.scale != subject.study.scale:
        says = f"seal of a study of scale '{seal.scale}', this one is '{subject.study.scale}'"
        yield Finding("stale", place.as_posix(), f"{says}; seal the study again")
    for problem in problems_of(seal, subject.results):
        yield Finding("tampered", place.as_posix(), problem, every)
    yield from _records(subject, place, seal.records, subject.finished)
    yield from _records(subject, place, seal.failed, subject.failed)
    yield from _files(subject, seal.files)


def check_signed(subject: Subject, path: Path, signers: Path | None) -> Iterator[Finding]:
    """Check the signature of seal or freeze, if it has one, or had one when it was committed."""
    signature = path.with_name(f"{path.name}.sig")
    place = signature.as_posix()
    if not path.is_file():
        return
    if not signature.is_file():
        with committed_copy(path) as file, committed_copy(signature) as signed:
            same = signed.is_file() and file.read_bytes() == path.read_bytes()
        if same:
            yield Finding("missing", place, "committed, but not there; restore it from git")
    elif shutil.which("ssh-keygen") is None:
        subject.not_checked.append(f"{place}: ssh-keygen, which checks it, is not installed")
    else:
        try:
            check_signature(path, signature, signers)
        except InputError as error:
            yield Finding("tampered", place, str(error))


def _committed(subject: Subject, place: Path) -> Iterator[Finding]:
    """Compare the seal and the records with the seal in git's HEAD, if that is another one."""
    seal, committed = subject.seal, subject.committed
    if committed is None or (seal is not None and seal.digest == committed.digest):
        return
    if not place.exists():
        yield Finding("missing", place.as_posix(), "committed, but not there; restore it from git")
    elif seal is not None and not follows(seal, committed):
        yield Finding("stale", place.as_posix(), f"{NOT_OF_HEAD}; seal the study again")
    for name, id_ in committed.failed.items():
        job = subject.failed.get(Path(name))
        if Path(name) in subject.unsound or (seal and seal.failed.get(name) == id_):
            continue  # reported for the record, or by this seal
        if job is None or job.id != id_:
            says = f"the failure {id_[:12]} of the committed seal is missing"
            cells = subject.plan.cells(_folder(subject, Path(name)))
            yield Finding("missing", name, says, cells)
    jobs = {name: subject.finished.get(Path(name)) for name in committed.records}
    same = [job for name, job in jobs.items() if job and job.id == committed.records[name]]
    again = gone = unknown = 0
    for name, job in jobs.items():
        if job is None:
            gone += Path(name).parent not in subject.plan.jobs  # others are reported as not run
        elif job not in same:
            later = _made_since_commit(job, same)
            again += later is True
            unknown += later is None
            if later is False:
                yield _no_later_run(subject, job, committed.records[name])
    yield from _committed_readers(subject, committed)
    if again or gone:
        says = f"since the committed seal {again} results were made again and {gone} given up"
        yield Finding("ok", place.as_posix(), says, remark=True)
    if unknown:
        says = f"{unknown} records are not those of the committed seal, and git has none of them, "
        says += "so nothing shows that they were made later"
        yield Finding("ok", place.as_posix(), says, remark=True)


def _committed_readers(subject: Subject, committed: Seal) -> Iterator[Finding]:
    """Compare the records of jobs that read all others; their files are compared with them."""
    for path, job in subject.readers.items():
        wanted = committed.files.get(path.as_posix())
        if wanted not in (None, sha256_or_none(path)) and _made_since_commit(job, []) is False:
            yield _no_later_run(subject, job, wanted)


def _made_since_commit(job: Job, same: Sequence[Job]) -> bool | None:
    """Return whether a job started after the jobs of the committed seal, as far as they are here.

    Args:
        job: a job whose record is not the sealed one.
        same: the jobs whose records are; of the job's own former record git may have a copy.

    Returns:
        None if there is neither.
    """
    earlier = [*same, *_former(job)]
    return made_since(job, earlier) if earlier else None


def _former(job: Job) -> list[Job]:
    """Return the job whose record git's HEAD has in the place of this one; none without a record.

    A committed file that is no record shows nothing.
    """
    with committed_copy(job.path) as copy:
        try:
            return [Job(job.path, read_record(copy))]
        except InputError:
            return []


def _no_later_run(subject: Subject, job: Job, wanted: str) -> Finding:
    says = f"expected the record {wanted[:12]} of the committed seal, got {job.id[:12]}, which is "
    says += "no later run of the job by its times"
    return Finding("tampered", job.path.as_posix(), says, subject.plan.cells(job.path))


def _files(subject: Subject, sealed: Mapping[str, str]) -> Iterator[Finding]:
    """Compare what no record names; records of the report name its files."""
    recorded = {output["path"] for job in subject.finished.values() for output in job.outputs}
    for name, sha256 in sealed.items():
        path = Path(name)
        # Recipes and published numbers are outside: they are compared by value.
        if name in recorded or not _inside(subject, path) or path in subject.unsound:
            continue
        job = subject.readers.get(path)
        if not path.is_file():
            yield Finding("missing", name, "sealed, but missing")
        elif sha256_or_none(path) == sha256:
            continue
        elif job is not None and made_since(job, subject.planned.values()):
            yield Finding("stale", name, "made again after the seal; seal the study again")
        else:
            yield Finding("tampered", name, "other bytes than were sealed")


def _records(
    subject: Subject, place: Path, sealed: Mapping[str, str], jobs: Mapping[Path, Job]
) -> Iterator[Finding]:
    same = [job for path, job in jobs.items() if sealed.get(path.as_posix()) == job.id]
    for name, wanted in sealed.items():
        path = Path(name)
        if path in subject.unsound:
            continue  # reported for the record
        job = jobs.get(path)
        if job is None:
            says = f"the sealed record {wanted[:12]} is missing"
            yield Finding("missing", name, says, subject.plan.cells(_folder(subject, path)))
        elif job.id != wanted:
            cells = subject.plan.cells(folder_of(subject.results, job.record))
            again = made_since(job, same)
            says = "made again after the seal; seal the study again" if again else ""
            says = says or f"expected the sealed record {wanted[:12]}, got {job.id[:12]}"
            yield Finding("stale" if again else "tampered", name, says, cells)
    for path, job in jobs.items():
        if job.record["stage"] in READERS:
            continue  # among the sealed files
        if path.as_posix() not in sealed and job.record["study"] == subject.study.name:
            cells = subject.plan.cells(folder_of(subject.results, job.record))
            says = f"not in {place}; seal the study again"
            yield Finding("stale", path.as_posix(), says, cells)


def _folder(subject: Subject, path: Path) -> Path:
    """Return the job's folder for a record there or in a folder of failed ones."""
    stage, *rest = path.relative_to(subject.results).parts if _inside(subject, path) else ("",)
    return subject.results.joinpath(*rest[:-1]) if stage in ("work", "failed") else path.parent


def _inside(subject: Subject, path: Path) -> bool:
    return subject.results in path.parents
