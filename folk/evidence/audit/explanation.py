"""Typed facts of an explanation, the only source of its text and JSON."""

from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

from folk.evidence.audit.chain import Job
from folk.evidence.results.cells import Cell
from folk.evidence.results.claims import JudgedClaim
from folk.evidence.results.published import Paper, PublishedNumber

if TYPE_CHECKING:
    from folk.evidence.audit.attestation import Attestation

FORMAT = 2  # of the JSON; increase it when a key changes its meaning

LISTS = ("contradicted", "established", "not_established")
CLAIMS = "claims/"  # prefix of claims among ids of cells

Agreement = Literal["same", "other", "unknown"]
FileState = Literal["same", "other", "missing", "elsewhere", "not read", "no digest"]
DiffState = Literal["kept", "cut", "missing", "other"]


def claim_id(name: str) -> str:
    """Return the id of a claim, as opposed to a cell's `table/row/column`."""
    return f"{CLAIMS}{name}"


@dataclass(frozen=True)
class Change:
    """One value of a recipe, dotted, in two versions; None where a version lacks the key."""

    key: str
    before: Any
    after: Any


@dataclass(frozen=True)
class RecipeFacts:
    """Recipe of a job, compared with today's file and its base."""

    file: str | None = None  # None if the study no longer has one for this job
    today: Agreement = "unknown"  # of all values that determine the result
    edited: list[Change] = field(default_factory=list)  # recorded -> today; empty when the same
    by_study: list[Change] = field(default_factory=list)  # file -> recorded: set by the study
    base: str | None = None
    over_base: list[Change] = field(default_factory=list)  # base -> recorded


@dataclass(frozen=True)
class JobFacts:
    """One job of the chain, and what of its record was compared just now.

    `starts` are as `restarts` in the record, with the one that finished as the last, each with
    `same_code`, `same_lock` and `same_geometry` as the last. `inputs` and `outputs` are as in the
    record, each with its `state`, an archive also with its `official_md5`, if published.
    """

    job: Job
    starts: list[dict[str, Any]]
    recipe: RecipeFacts
    code: Agreement
    lock: Agreement
    uncommitted: DiffState | None
    inputs: list[dict[str, Any]]
    outputs: list[dict[str, Any]]
    problems: list[str]  # inconsistencies of its record with others

    @property
    def name(self) -> str:
        """Stage, run and evaluation."""
        return self.job.name

    @property
    def record(self) -> str:
        """Path of its record."""
        return self.job.path.as_posix()

    def as_json(self) -> dict[str, Any]:
        """Return the record as plain JSON values, with what was compared."""
        today = {"recipe": asdict(self.recipe), "code": self.code, "lock": self.lock}
        head = {"name": self.name, "record": self.record, "uncommitted": self.uncommitted}
        compared = {key: getattr(self, key) for key in ("starts", "inputs", "outputs", "problems")}
        return self.job.record | head | {"today": today} | compared


@dataclass(frozen=True)
class Part:
    """One evaluation of one seed: its job's number, and the recomputed one."""

    name: str  # such as folk-s0/few-a
    stage: str
    status: str  # ok, or why there is no number
    stated: float | None
    derived: float | None  # from the stored predictions; None if they do not contain it
    record: str
    record_id: str | None


@dataclass(frozen=True)
class Run:
    """One seed of the cell's row, and of its fine-tuning if any; `value` in the cell's unit."""

    seed: int
    finetune_seed: int | None
    value: float | None
    parts: list[Part]


@dataclass(frozen=True)
class PublishedFacts:
    """A published number, the paper that prints it, and what its certainty means."""

    number: PublishedNumber
    paper: Paper
    certainty_means: str


@dataclass(frozen=True)
class FailureFacts:
    """A failed or interrupted job behind the cell, which stays in the chain."""

    name: str
    record: str
    id: str
    outcome: str
    started: str
    reason: str
    completed_later: bool


@dataclass(frozen=True)
class ClaimFacts:
    """A claim of the study that reads this cell."""

    name: str
    kind: str
    says: str
    verdict: str | None  # from claims.parquet; None without one


@dataclass(frozen=True)
class RerunFacts:
    """An attestation of the cell; one that counts has the word "ok"."""

    attestation: "Attestation"
    word: str
    says: str

    def as_json(self) -> dict[str, Any]:
        """Return it as plain JSON values."""
        keys = ("key", "signer", "own")
        head = {"path": self.attestation.path.as_posix(), "word": self.word, "says": self.says}
        return head | {key: getattr(self.attestation, key) for key in keys}


@dataclass(frozen=True)
class Explanation:
    """One cell: its number, its chain, and the checks of each part.

    `contradicted` lists failed checks, `established` passed checks, `not_established` what is taken
    on trust, each with the reason.
    """

    cell: str
    study: str
    title: str  # of the table
    row: str  # label
    column: str  # label
    number: Cell  # as it is stored
    runs: list[Run]
    published: PublishedFacts | None
    rule: str | None  # of its verdict
    claims: list[ClaimFacts]
    chain: list[JobFacts]  # makers before readers
    failures: list[FailureFacts]
    reruns: list[RerunFacts]
    contradicted: list[str]
    established: list[str]
    not_established: list[str]

    @property
    def holds(self) -> bool:
        """True if no check failed."""
        return not self.contradicted

    @property
    def parents(self) -> list[str]:
        """Ids of the records of its evaluations."""
        return [part.record_id for run in self.runs for part in run.parts if part.record_id]

    def as_json(self) -> dict[str, Any]:
        """Return the explanation as plain JSON values."""
        head = {"format": FORMAT, "holds": self.holds, "parents": self.parents}
        plain = asdict(replace(self, published=None, chain=[], reruns=[]))
        plain["chain"] = [job.as_json() for job in self.chain]
        plain["reruns"] = [each.as_json() for each in self.reruns]
        if (cited := self.published) is not None:
            plain["published"] = {
                **cited.number.model_dump(mode="json"),
                "paper": cited.paper.model_dump(mode="json"),
                "certainty_means": cited.certainty_means,
            }
        return head | plain


@dataclass(frozen=True)
class ClaimExplanation:
    """One claim, as it is stored, its cells, and the rule of its verdict.

    The three lists are as in `Explanation`; contradictions of its cells are included.
    """

    claim: str  # claims/name
    study: str
    judged: JudgedClaim
    cells: list[Explanation]  # the subtracted one first
    frozen: str  # when, and whether the claim was changed since
    rule: str
    certainty_means: str | None  # of the published number or statement that it is about
    contradicted: list[str]
    established: list[str]
    not_established: list[str]

    @property
    def holds(self) -> bool:
        """True if no check failed."""
        return not self.contradicted

    def as_json(self) -> dict[str, Any]:
        """Return the claim as plain JSON values, its cells without their chains."""
        keys = ("id", "value", "printed", "unit", "n")
        cells = [
            {key: getattr(cell.number, key) for key in keys}
            | {"parents": cell.parents, "holds": cell.holds}
            for cell in self.cells
        ]
        head = {"format": FORMAT, "holds": self.holds, "claim": self.claim, "study": self.study}
        judged = {"judged": asdict(self.judged), "cells": cells, "frozen": self.frozen}
        judged |= {"rule": self.rule}
        lists = {key: getattr(self, key) for key in LISTS}
        return head | judged | {"certainty_means": self.certainty_means} | lists
