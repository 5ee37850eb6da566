"""Attestations: signed statements of somebody who ran a cell's jobs again.

A file of `results/<study>/attestations/` is a DSSE envelope around an in-toto Statement, signed by
an ssh key. It is no part of the seal and no input of a rule.

Source: https://github.com/in-toto/attestation/blob/main/spec/v1 and
https://github.com/secure-systems-lab/dsse/blob/master/protocol.md.
"""

import base64
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

from folk import __version__
from folk.evidence.audit.again import Closeness, Scratch, closeness
from folk.evidence.audit.chain import Job
from folk.evidence.audit.findings import Word
from folk.evidence.audit.job_differences import COMPUTED, differing_files, reasons
from folk.evidence.audit.plan import Start
from folk.evidence.audit.seal import seal_path, signature_path
from folk.evidence.audit.signature import ATTESTATION, SEAL, check_signature, fingerprint, sign
from folk.evidence.audit.subject import Subject
from folk.evidence.core.canonical import canonical_json
from folk.evidence.core.errors import InputError
from folk.evidence.core.files import write_json
from folk.evidence.core.json_file import read_keys, typed
from folk.evidence.core.numbers import alike
from folk.evidence.record.lineage import is_by_value
from folk.evidence.record.schema import read_record
from folk.evidence.results.cells import Cell, derive_cell
from folk.evidence.results.evidence import Evidence
from folk.evidence.results.metrics.intervals import mean
from folk.evidence.results.published import load_published
from folk.evidence.study.study import run_name

FOLDER = "attestations"
STATEMENT = "https://in-toto.io/Statement/v1"
PREDICATE = "urn:folk-repro:rerun:v1"  # raise the version when a key changes its meaning
PAYLOAD = "application/vnd.in-toto+json"
_REMEDY = "get it again from its maker, or delete it"
_INSIDE = "inside the seeds' interval"


@dataclass(frozen=True)
class RunAgain:
    """One run of a cell, or one fine-tuning of it, in the cell's unit."""

    run: str
    finetune_seed: int | None
    value: float
    again: float
    difference: float


@dataclass(frozen=True)
class JobAgain:
    """One job that was run again: its record in the study, and what the new record has."""

    record: str
    id: str
    same: Closeness  # of its predictions; of what other jobs read where it stores none
    outputs: dict[str, str]  # new sha256, by name
    why: list[str]  # what can explain a difference, by both records
    threads: int
    code: str  # fingerprint


@dataclass(frozen=True)
class Predicate:
    """Content of an attestation: a cell's value in the study, and the one that came out."""

    study: str
    cell: str
    start: Start
    seal: str | None  # digest of the seal, where the study has one
    records: dict[str, str]  # path -> id of all that the cell rests on
    unit: str
    value: float
    low: float | None
    high: float | None
    again: float
    difference: float
    inside: bool | None  # of low to high; None where one seed has no interval
    runs: list[RunAgain]
    jobs: list[JobAgain]
    cpu: str | None
    cpu_capability: str | None
    gpus: list[str]
    python: str
    torch: str | None
    lock_sha256: str | None
    commit: str | None
    folk: str
    made: str
    by: str

    @property
    def machine(self) -> str:
        """Processor and vector instructions, or the GPUs."""
        return ", ".join(self.gpus) or f"{self.cpu or 'unknown CPU'} ({self.cpu_capability})"

    @property
    def points(self) -> str:
        """Unit of a difference."""
        return "points" if self.unit == "%" else self.unit


@dataclass(frozen=True)
class Attestation:
    """A file of attestations, as far as it can be judged without the study.

    `word` and `problem` are those of a finding; one without a problem is "ok".
    """

    path: Path
    word: Word = "ok"
    problem: str = ""
    predicate: Predicate | None = None
    subjects: dict[str, str] = field(default_factory=dict)  # path -> sha256
    key: str = ""  # fingerprint of the key that signed it
    signer: str = ""  # by the list of signers
    own: bool = False  # True for the key that signed the study's seal


def make_predicate(
    subject: Subject, scratch: Scratch, jobs: Sequence[Job], cell: Cell, start: Start, by: str
) -> Predicate:
    """Compare a stored cell with what its jobs made when they ran again in `scratch`.

    Raises:
        InputError: a cell without a number, or a job that read the study's own results.
    """
    published = load_published(subject.published)
    now = derive_cell(subject.study, Evidence(subject.study, scratch.folder), published, cell.id)
    for each in (cell, now):
        if each.value is None:
            raise InputError(f"{cell.id}: no number to compare ({each.note})")
    again = [Job(job.path, read_record(scratch.at(job.path))) for job in jobs]
    for new in again:
        for entry in new.inputs:
            if subject.results in Path(entry["path"]).parents:
                raise InputError(f"{new.name} read {entry['path']}, not what was made again")
    last = again[-1].record
    installed = last["environment"]
    return Predicate(
        study=subject.study.name,
        cell=cell.id,
        start=start,
        seal=None if subject.seal is None else subject.seal.digest,
        records=_records(jobs_of(subject, cell)),
        **_numbers(cell, now.seed_values),
        jobs=[_job_again(*pair, scratch) for pair in zip(jobs, again, strict=True)],
        **{key: last["hardware"].get(key) for key in ("cpu", "cpu_capability", "gpus")},
        python=installed["python"],
        torch=installed["packages"].get("torch"),
        lock_sha256=installed["lock_sha256"],
        commit=last["code"]["commit"],
        folk=__version__,
        made=datetime.now(UTC).isoformat(timespec="seconds"),
        by=by,
    )


def write_attestation(
    results: Path, predicate: Predicate, jobs: Iterable[Job], key: Path | None
) -> Path:
    """Write the statement about jobs of the study, signed if a key is given; return the path.

    Raises:
        InputError: ssh-keygen is missing or cannot use the key.
    """
    subjects = [{"name": n, "digest": {"sha256": d}} for n, d in _subjects(jobs).items()]
    statement = {"_type": STATEMENT, "subject": subjects, "predicateType": PREDICATE}
    payload = canonical_json(statement | {"predicate": asdict(predicate)})
    signatures: list[dict[str, str]] = []
    if key is not None:
        with tempfile.TemporaryDirectory() as folder:
            content, signature = Path(folder, "statement"), Path(folder, "statement.sig")
            content.write_bytes(_signed_bytes(payload))
            sign(content, key, signature, ATTESTATION)
            keyid = fingerprint(check_signature(content, signature, None, ATTESTATION))
            signatures = [{"keyid": keyid, "sig": _base64(signature.read_bytes())}]
    # Two parties may state the same in the same second.
    keys = "".join(each["keyid"] for each in signatures)
    digest = sha256(payload + keys.encode()).hexdigest()
    name = f"{predicate.cell.replace('/', '.')}-{digest[:8]}.json"
    envelope = {"payload": _base64(payload), "payloadType": PAYLOAD, "signatures": signatures}
    write_json(results / FOLDER / name, envelope)
    return results / FOLDER / name


def read_attestations(results: Path, signers: Path | None = None) -> list[Attestation]:
    """Read all attestations of a study and check their signatures.

    Args:
        results: the study's own folder.
        signers: ssh's list of allowed signers; None does not check whose keys they are.

    Raises:
        InputError: no file `signers`.
    """
    if signers is not None and not signers.is_file():
        raise InputError(f"--signers {signers}: no such file")
    found = [_read(path, signers) for path in sorted((results / FOLDER).glob("*.json"))]
    own, signature = "", signature_path(results)
    if any(each.key for each in found) and signature.is_file():
        try:
            own = fingerprint(check_signature(seal_path(results), signature, None, SEAL))
        except (InputError, OSError):
            own = ""  # a wrong signature is reported by `seal --check`
    return [replace(each, own=each.key == own != "") for each in found]


def judged(
    found: Attestation, study: str, cell: Cell | None, jobs: Sequence[Job]
) -> tuple[Word, str]:
    """Compare an attestation with the study.

    Args:
        found: the attestation.
        study: name of the study.
        cell: that the attestation names; None if the study has none of this name.
        jobs: all that this cell rests on now.

    Returns:
        word and sentence of a finding, "ok" for one that counts; the sentence may hold anything.
    """
    stated = found.predicate
    if found.word != "ok" or stated is None:
        return found.word, found.problem
    if stated.study != study:
        return "foreign", f"attests another study, '{stated.study}'"
    if cell is None:
        return "foreign", f"attests a cell that the study has not, '{stated.cell}'"
    now = _records(jobs)
    if others := sorted(stated.records.keys() - now.keys()):
        return "foreign", f"attests another cell: {others[0]} is not behind {cell.id}"
    if moved := [path for path, id_ in now.items() if stated.records.get(path) != id_]:
        return "stale", f"{moved[0]} was made again since; ask for a new attestation"
    if problem := next(_contradictions(found, stated, cell, jobs), None):
        return "tampered", f"forged: {problem}"
    who = found.signer or stated.by or found.key
    where = {None: "one seed has no interval", True: _INSIDE}.get(stated.inside, f"NOT {_INSIDE}")
    gap = f"{stated.again:.6g}, {stated.difference:+.3g} {stated.points}".rstrip()
    return (
        "ok",
        f"{cell.id} again by {who} on {stated.machine}, from {stated.start}: {gap}, {where}",
    )


def in_words(counted: Sequence[Attestation]) -> str:
    """Summarize attestations that count, of one cell or several; empty without any."""
    others = [each for each in counted if not each.own]
    own = [each for each in counted if each.own]
    parties = _count(len({each.key for each in others}), "party", "parties")
    by = {f"re-run by {parties}": others, "re-run with the seal's own key": own}
    return "; ".join(f"{who} {_outcome(each)}" for who, each in by.items() if each)


def jobs_of(subject: Subject, cell: Cell) -> list[Job]:
    """List the jobs that a cell rests on, as far as their records are sound."""
    paths = [folder / "record.json" for folder in subject.plan.evaluations_of(cell.id)]
    return subject.chain.behind(subject.finished[p] for p in paths if p in subject.finished)


def _read(path: Path, signers: Path | None) -> Attestation:
    with tempfile.TemporaryDirectory() as folder:
        content, signature = Path(folder, "statement"), Path(folder, "statement.sig")
        try:
            envelope = read_keys(path, _REMEDY)
            payload = base64.b64decode(envelope["payload"], validate=True)
            content.write_bytes(payload)
            found = _statement(path, content, envelope["payloadType"])
            signed = [base64.b64decode(s["sig"], validate=True) for s in envelope["signatures"]]
        except (InputError, AttributeError, KeyError, TypeError, ValueError) as error:
            problem = str(error).replace(str(content), path.name)
            return Attestation(path, "tampered", f"no signed in-toto statement: {problem}")
        content.write_bytes(_signed_bytes(payload))
        if not signed:
            return replace(found, word="missing", problem="not signed, so it does not count")
        if shutil.which("ssh-keygen") is None:
            problem = "does not count: ssh-keygen, which checks signatures, is not installed"
            return replace(found, word="missing", problem=problem)
        signature.write_bytes(signed[0])
        try:
            key = fingerprint(check_signature(content, signature, None, ATTESTATION))
        except InputError:
            problem = "forged: its signature is not of this statement"
            return replace(found, word="tampered", problem=problem)
        try:
            who = "" if signers is None else check_signature(
                content, signature, signers, ATTESTATION
            )  # fmt: skip
        except InputError:
            problem = f"does not count: signed by {key}, which is not in {signers}"
            return replace(found, word="missing", problem=problem, key=key)
        return replace(found, key=key, signer=who.partition(" for ")[2].partition(" with ")[0])


def _statement(path: Path, content: Path, kind: str) -> Attestation:
    statement = read_keys(content, _REMEDY)
    if (kind, statement["_type"], statement["predicateType"]) != (PAYLOAD, STATEMENT, PREDICATE):
        raise InputError(f"expected {PREDICATE} in {STATEMENT}; {_REMEDY}")
    subjects = {each["name"]: each["digest"]["sha256"] for each in statement["subject"]}
    predicate = typed(content, Predicate, statement["predicate"], _REMEDY)
    return Attestation(path, predicate=predicate, subjects=subjects)


def _contradictions(
    found: Attestation, stated: Predicate, cell: Cell, jobs: Sequence[Job]
) -> Iterator[str]:
    """Yield in what an attestation contradicts itself, or the records that it names."""
    if len(stated.runs) != len(cell.seed_values):
        yield f"it has {len(stated.runs)} runs, the cell {len(cell.seed_values)}"
        return
    for key, wanted in _numbers(cell, [run.again for run in stated.runs]).items():
        if not alike(*map(_plain, (getattr(stated, key), wanted))):
            yield f"its {key} does not follow from its runs and the cell"
    again = {job.record for job in stated.jobs}
    needed = {job.path.as_posix() for job in jobs if stated.start == job.record["stage"]}
    if left := sorted(({*cell.parents} | needed) - again):
        yield f"{left[0]} was not run again"
    if _subjects(j for j in jobs if j.path.as_posix() in again) != found.subjects:
        yield "its subjects are not the files that the records name"


def _numbers(cell: Cell, again: list[float]) -> dict[str, Any]:
    """Compare the values of a cell's runs, and the cell, with those that came out again."""
    seeds: Sequence[int | None] = cell.finetune_seeds or [None] * len(cell.seeds)
    names = [(run_name(cell.row, seed), each) for seed, each in zip(cell.seeds, seeds, strict=True)]
    values = zip(names, cell.seed_values, again, strict=True)
    value = mean(replace(cell, seed_values=again).run_values)
    interval = None if cell.low is None or cell.high is None else cell.low <= value <= cell.high
    return {
        **{key: getattr(cell, key) for key in ("unit", "value", "low", "high")},
        "again": value,
        "difference": value - (cell.value or 0.0),
        "inside": interval,
        "runs": [RunAgain(*name, was, now, now - was) for name, was, now in values],
    }


def _plain(value: Any) -> Any:
    return [[*vars(each).values()] for each in value] if isinstance(value, list) else value


def _job_again(job: Job, new: Job, scratch: Scratch) -> JobAgain:
    same: Closeness = "other" if differing_files(job.record, new.record) else "bitwise"
    if any(output["name"].startswith("predictions") for output in job.outputs):
        same = closeness(job, scratch.at(job.path.parent))
    without_inputs = (each.record | {"inputs": []} for each in (job, new))
    return JobAgain(
        record=job.path.as_posix(),
        id=job.id,
        same=same,
        outputs={o["name"]: o["sha256"] for o in new.outputs if o["name"].endswith(COMPUTED)},
        why=reasons(*without_inputs),
        threads=new.record["geometry"]["threads"],
        code=new.record["code"]["fingerprint"],
    )


def _subjects(jobs: Iterable[Job]) -> dict[str, str]:
    """Map the files that jobs read and made to their recorded digests."""
    found: dict[str, str] = {}
    for job in jobs:
        inputs = [entry for entry in job.inputs if not is_by_value(entry["name"])]
        made = [o for o in job.outputs if o["name"].endswith((*COMPUTED, "metrics.json"))]
        found |= {entry["path"]: entry["sha256"] for entry in (*inputs, *made) if entry["sha256"]}
    return found


def _records(jobs: Iterable[Job]) -> dict[str, str]:
    return {job.path.as_posix(): job.id for job in jobs}


def _outcome(counted: Sequence[Attestation]) -> str:
    stated = [each.predicate for each in counted if each.predicate is not None]
    noun = "processor" if any(each.gpus for each in stated) else "CPU"
    kinds = _count(len({each.machine for each in stated}), "kind", "kinds")
    largest = max(stated, key=lambda each: abs(each.difference))
    gap = f"largest difference {abs(largest.difference):.2g} {largest.points}".rstrip()
    outside = sum(each.inside is False for each in stated)
    where = f"NOT {_INSIDE} in {outside} of {len(stated)}" if outside else _INSIDE
    if not outside and any(each.inside is None for each in stated):
        where = "one seed has no interval"
    return f"on {kinds} of {noun}, {gap}, {where}"


def _signed_bytes(payload: bytes) -> bytes:
    """Return what is signed: type and payload, each with its length."""
    return b"DSSEv1 %d %s %d %s" % (len(PAYLOAD), PAYLOAD.encode(), len(payload), payload)


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _count(number: int, one: str, more: str) -> str:
    return f"{number} {one if number == 1 else more}"
