"""Seal of a study: one digest of all records and small results, kept in git.

`chain` is the digest of all records, failed jobs included, and is printed at the end of the report.
`digest` is that of the whole seal. `parent` is that of the committed seal when this one was made,
or without git of the seal before it, so the committed seals of a study form a chain: none can be
replaced without all later ones.
"""

import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from folk.evidence.audit.chain import Chain
from folk.evidence.core.canonical import chain_digest, sha256_of_json
from folk.evidence.core.digest import digest_file
from folk.evidence.core.errors import InputError
from folk.evidence.core.files import write_json
from folk.evidence.core.json_file import read_keys, typed
from folk.evidence.core.shipped import shipped
from folk.evidence.record.environment import file_of_commit
from folk.evidence.record.failures import FAILED
from folk.evidence.results.published import published_files
from folk.evidence.study.study import Study

FORMAT = 1
SEAL_NAME, FREEZE_NAME = "seal.json", "freeze.json"
NOT_OF_HEAD = "it is not the committed seal, and its parent is another one"
# Byte by byte, like the records of `READERS`, which are not in the chain that the page prints.
RESULT_FILES = (
    "cells.parquet", "claims.parquet", "claims.md", "assumptions.md", "report.html", FREEZE_NAME,
)  # fmt: skip
OUTSIDE = (*published_files(Path("config/published")), Path("requirements.lock"))


@dataclass(frozen=True)
class Seal:
    """Content of seal.json; paths are relative to the repository."""

    format: int
    study: str
    scale: str
    records: dict[str, str]  # path -> id, of finished jobs
    failed: dict[str, str]  # path -> id, of failed and interrupted jobs
    files: dict[str, str]  # path -> sha256, of small results and of their inputs
    chain: str  # `chain_digest` of records and failed
    parent: str | None  # digest of the seal before this one: the committed one, if git has any
    digest: str  # sha256 of the canonical JSON of all the others

    @property
    def holds(self) -> bool:
        """True if both digests match the seal's content."""
        return self.digest == digest_of(asdict(self)) and self.chain == chain_digest(
            self.records, self.failed
        )


def seal_path(results: Path) -> Path:
    """Return the path of a study's seal; `results` is the study's own folder."""
    return results / SEAL_NAME


def signature_path(results: Path) -> Path:
    """Return the path of a seal's signature."""
    return results / f"{SEAL_NAME}.sig"


def read_seal(path: Path) -> Seal | None:
    """Read a seal without checking it; None if the study was never sealed.

    Raises:
        InputError: invalid seal.
    """
    if not path.is_file():
        return None
    remedy = "restore the committed one"
    values = read_keys(path, remedy)
    if values.get("format") != FORMAT:
        raise InputError(f"{path}: expected a seal of format {FORMAT}; {remedy}")
    return typed(path, Seal, values, remedy)


def committed_seal(results: Path, root: Path = Path()) -> Seal | None:
    """Read the seal of git's HEAD; None without git, without a commit or a valid seal there."""
    with committed_copy(seal_path(results), root) as path:
        try:
            seal = read_seal(path)
        except InputError:
            return None
    return None if seal is None or problems_of(seal, results) else seal


@contextmanager
def committed_copy(path: Path, root: Path = Path()) -> Iterator[Path]:
    """Yield a copy of a file as git's HEAD has it, which is not there if HEAD has none."""
    content = file_of_commit(root, "HEAD", path)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, path.name)
        if content is not None:
            copy.write_bytes(content)
        yield copy


def follows(seal: Seal, before: Seal) -> bool:
    """Return True if a seal is the given one, or was made next to it."""
    return before.digest in (seal.digest, seal.parent)


def problems_of(seal: Seal, results: Path) -> list[str]:
    """List what shows that this is no seal that was made of the study in `results`."""
    problems = []
    if seal.study != results.name:
        problems.append(f"the seal of another study, '{seal.study}'")
    if not seal.holds:
        problems.append("it was edited: its digests do not match")
    if not seal.files:
        problems.append("it has no files, so it was edited")
    if seal.parent is not None and not re.fullmatch("[0-9a-f]{64}", seal.parent):
        problems.append(f"its parent '{seal.parent[:12]}' is no digest, so it was edited")
    return problems


def write_seal(
    study: Study,
    study_path: Path,
    results: Path,
    root: Path = Path(),
    outside: Sequence[Path] = OUTSIDE,
) -> Seal:
    """Seal a study; an unchanged study keeps its seal byte for byte.

    Args:
        study: the study.
        study_path: its file, relative to `root`.
        results: the study's own folder, relative to `root`, such as `results/demo`.
        root: the folder of the repository.
        outside: further files to seal, relative to `root`.

    Returns:
        the seal.

    Raises:
        InputError: a record was edited, a failure in this or the committed seal is missing, or the
            existing seal is not of this study or was edited; nothing is written.
    """
    place = root / seal_path(results)
    before, committed = read_seal(place), committed_seal(results, root)
    for problem in [] if before is None else problems_of(before, results):
        raise InputError(f"{place}: {problem}; restore the committed one")
    chain = Chain(results, root)
    records = _ids(chain, chain.record_paths())
    failed = _ids(chain, chain.failed_paths())
    for earlier in filter(None, (before, committed)):
        _refuse_lost_failures(place, earlier.failed, failed)
    body: dict[str, Any] = {
        "format": FORMAT,
        "study": study.name,
        "scale": study.scale,
        "records": records,
        "failed": failed,
        "files": _files(chain, [study_path, *outside]),
        "chain": chain_digest(records, failed),
    }
    for same in filter(None, (before, committed)):
        is_same = same.digest == digest_of(body | {"parent": same.parent})
        if is_same and (committed is None or follows(same, committed)):
            if same is not before:
                write_json(place, asdict(same))
            return same
    last = committed or before
    body["parent"] = None if last is None else last.digest
    seal = Seal(**body, digest=digest_of(body))
    (root / signature_path(results)).unlink(missing_ok=True)  # it signs other bytes
    write_json(place, asdict(seal))
    return seal


def seal_problems(results: Path, root: Path = Path()) -> list[str]:
    """List the differences of a study from its seal.

    Args:
        results: the study's own folder, relative to `root`.
        root: the folder of the repository.

    Raises:
        InputError: missing or invalid seal.
    """
    place = root / seal_path(results)
    seal = read_seal(place)
    if seal is None:
        raise InputError(f"{place}: missing; write it with `python -m folk seal`")
    problems = [f"{place}: {problem}" for problem in problems_of(seal, results)]
    committed = committed_seal(results, root)
    if committed is not None and not follows(seal, committed):
        problems.append(f"{place}: {NOT_OF_HEAD}; seal the study again")
    chain = Chain(results, root)
    problems += _record_problems(chain, chain.record_paths(), seal.records)
    lost = {} if committed is None else committed.failed
    problems += _record_problems(chain, chain.failed_paths(), lost | seal.failed)
    for name, sha256 in seal.files.items():
        path = shipped(root / name)
        if not path.is_file():
            problems.append(f"{name}: sealed, but missing")
        elif digest_file(path).sha256 != sha256:
            problems.append(f"{name}: other bytes than were sealed")
    return problems


def _record_problems(chain: Chain, paths: Sequence[Path], sealed: Mapping[str, str]) -> list[str]:
    jobs, unreadable = chain.readable(paths)
    problems = list(unreadable.values())
    for path, job in jobs.items():
        name = path.as_posix()
        if job.edited is not None:
            problems.append(job.edited)
        elif name not in sealed:
            problems.append(f"{name}: not in the seal; seal the study again")
        elif sealed[name] != job.id:
            problems.append(f"{name}: another record than was sealed")
    here = {path.as_posix() for path in paths}
    return [*problems, *(f"{name}: sealed, but missing" for name in sealed if name not in here)]


def _ids(chain: Chain, paths: Sequence[Path]) -> dict[str, str]:
    ids = {}
    for path in paths:
        job = chain.at(path)
        if job.edited is not None:
            raise InputError(f"{job.edited}: run that job again")
        ids[path.as_posix()] = job.id
    return ids


def _refuse_lost_failures(place: Path, sealed: Mapping[str, str], here: Mapping[str, str]) -> None:
    lost = [name for name, id_ in sealed.items() if here.get(name) != id_]
    if lost:
        raise InputError(
            "\n".join(
                f"{name}: sealed in {place}, but missing; restore it, because failures stay "
                f"part of a study (never delete files in '{FAILED}'); to begin the study anew, "
                "`git rm` its seal and commit that"
                for name in lost
            )
        )


def _files(chain: Chain, others: Sequence[Path]) -> dict[str, str]:
    results, root = chain.results, chain.root
    for path in chain.reader_paths():
        if (edited := chain.at(path).edited) is not None:
            raise InputError(f"{edited}: run that job again")
    places = [results / name for name in RESULT_FILES]
    for folder in ("tables", "metrics"):
        places += [path.relative_to(root) for path in sorted((root / results / folder).glob("*"))]
    places += chain.reader_paths()
    found = [path for path in [*places, *others] if (root / path).is_file()]
    return {path.as_posix(): digest_file(root / path).sha256 for path in found}


def digest_of(body: Mapping[str, Any]) -> str:
    """Hash the canonical JSON of all keys but `digest`."""
    return sha256_of_json({key: value for key, value in body.items() if key != "digest"})
