"""What can be said of one cell, as typed facts; whoever shows it takes every word from here."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

FORMAT = 1  # of the JSON; raised when a key changes its meaning

CLAIMS = "claims/"  # before the name of a claim, where a cell could stand too

Agreement = Literal["same", "other", "unknown"]
FileState = Literal["same", "other", "missing", "not read", "no digest"]
DiffState = Literal["kept", "cut", "missing", "other"]


def claim_id(name: str) -> str:
    """The id of a claim, beside `table/row/column` of a cell."""
    return f"{CLAIMS}{name}"


@dataclass(frozen=True)
class FileFacts:
    """A file that a job read or made, and whether its bytes are still those of the record."""

    name: str  # in the job, such as `encoder`
    path: str
    size: int | None  # bytes
    sha256: str | None
    md5: str | None
    state: FileState
    made_by: str | None = None  # id of the record that made an input; None from outside
    official_md5: str | None = None  # of an archive, where its makers publish one


@dataclass(frozen=True)
class Change:
    """One value of a recipe, dotted, in two versions; None where a version lacks the key."""

    key: str
    before: Any
    after: Any


@dataclass(frozen=True)
class RecipeFacts:
    """What a job was told, beside the recipe file of today and the recipe that it is based on."""

    digest: str
    file: str | None  # None when the study no longer names one for this job
    today: Agreement  # of all values that decide the result, the study's own included
    edited: list[Change]  # recorded -> today; empty when the same
    by_study: list[Change]  # file -> recorded: what the study sets itself
    base: str | None
    over_base: list[Change]  # base -> recorded
    assumed: dict[str, str]  # values that no source gives, with the basis of each


@dataclass(frozen=True)
class CodeFacts:
    """Which code ran, and whether the repository still holds it."""

    fingerprint: str
    today: Agreement
    today_fingerprint: str | None
    commit: str | None
    dirty: bool | None
    diff: str | None  # where the uncommitted changes are kept
    diff_state: DiffState | None


@dataclass(frozen=True)
class EnvironmentFacts:
    """What was installed."""

    python: str
    torch: str | None
    platform: str
    lock_sha256: str | None
    lock_today: Agreement


@dataclass(frozen=True)
class Start:
    """One start of a job: those that ended early, and as the last one that which finished."""

    started: str
    ended: str | None
    reason: str
    host: str
    node: str | None
    job_id: str | None
    cpu: str | None
    gpus: list[str]
    last_step: int | None
    why: str | None  # what the start itself said of its end
    slurm_state: str | None  # what SLURM said of it when the next one began
    geometry: dict[str, Any] | None  # see record.schema.json; None in older records
    same_code: bool  # as the last start
    same_lock: bool
    same_geometry: bool  # as far as it is known; node names do not count


@dataclass(frozen=True)
class JobFacts:
    """One job of the chain."""

    name: str  # stage, run and evaluation
    stage: str
    run: str | None
    evaluation: str | None
    seed: int | None
    finetune_seed: int | None  # of an evaluation with such seeds
    record: str  # path
    id: str
    id_holds: bool
    parents: list[str]
    command: str
    metrics: dict[str, float]  # as the record states them
    seconds: float | None
    starts: list[Start]
    recipe: RecipeFacts
    code: CodeFacts
    environment: EnvironmentFacts
    inputs: list[FileFacts]
    outputs: list[FileFacts]
    problems: list[str]  # where its record does not hang together with others


@dataclass(frozen=True)
class Part:
    """One evaluation of one seed: the number that its job stated, and the one derived again."""

    name: str  # such as folk-s0/few-a
    stage: str
    status: str  # ok, or why there is no number
    stated: float | None
    derived: float | None  # from the stored predictions; None when they cannot tell
    record: str
    record_id: str | None


@dataclass(frozen=True)
class Run:
    """One seed of the cell's row, and of its fine-tuning if told; `value` in the cell's unit."""

    seed: int
    finetune_seed: int | None
    value: float | None
    parts: list[Part]


@dataclass(frozen=True)
class Number:
    """The cell as cells.parquet has it."""

    value: float | None
    printed: str
    unit: str
    n: int
    std: float | None  # of the means of runs
    std_finetune: float | None  # within a run, pooled; None without fine-tuning seeds
    std_pretrain: float | None  # between runs without the former; None likewise
    low: float | None  # 95 % t-interval over seeds
    high: float | None
    boot_low: float | None  # 95 % bootstrap over images, these seeds
    boot_high: float | None
    metric: str
    formula: str
    of_one_machine: bool
    note: str


@dataclass(frozen=True)
class PublishedFacts:
    """Somebody else's number, with its place, source and certainty."""

    id: str
    paper: str
    venue: str
    arxiv: str
    place: str  # table, row, column
    printed: str | None
    value: float | None
    unit: str
    margin: float | None
    epoch: str
    certainty: str
    certainty_means: str
    source: str
    note: str


@dataclass(frozen=True)
class VerdictFacts:
    """What our number says about the published one, and by which rule."""

    word: str
    rule: str


@dataclass(frozen=True)
class FailureFacts:
    """A job behind the cell that did not end well; it stays in the chain."""

    name: str
    record: str
    id: str
    outcome: str
    started: str
    reason: str
    completed_later: bool


@dataclass(frozen=True)
class ClaimFacts:
    """A statement of the study that rests on this cell."""

    name: str
    kind: str
    says: str
    verdict: str | None  # as claims.parquet has it; None when it has none


@dataclass(frozen=True)
class Explanation:
    """One cell: its number, all that it was made of, and how far each of it was checked just now.

    `contradicted` holds what was checked and is not so, `established` what was and is,
    `not_established` what is taken on trust, each with the reason.
    """

    cell: str
    study: str
    title: str  # of the table
    row: str  # label
    column: str  # label
    quoted: bool  # a number of somebody else's, shown without one of ours
    number: Number
    runs: list[Run]
    published: PublishedFacts | None
    verdict: VerdictFacts | None
    claims: list[ClaimFacts]
    chain: list[JobFacts]  # makers before readers
    failures: list[FailureFacts]
    contradicted: list[str]
    established: list[str]
    not_established: list[str]

    @property
    def holds(self) -> bool:
        """Whether nothing that was checked is contradicted."""
        return not self.contradicted

    @property
    def parents(self) -> list[str]:
        """Ids of the records of its evaluations."""
        return [part.record_id for run in self.runs for part in run.parts if part.record_id]

    def as_json(self) -> dict[str, Any]:
        """The cell's claim, as plain JSON values."""
        head = {"format": FORMAT, "holds": self.holds, "parents": self.parents}
        return head | asdict(self)


@dataclass(frozen=True)
class StepFacts:
    """From one cell of a claim to the next; numbers in the claim's unit."""

    below: str  # cell that is subtracted
    above: str
    difference: float | None  # None when a cell has no number
    low: float | None  # Welch's interval over seeds; None with a single seed
    high: float | None
    printed: str
    printed_interval: str


@dataclass(frozen=True)
class CellFacts:
    """A cell that a claim reads, and what came of explaining it; its chain is the cell's own."""

    cell: str
    value: float | None
    printed: str
    unit: str
    n: int
    parents: list[str]  # ids of the records of its evaluations
    holds: bool


@dataclass(frozen=True)
class CitedFacts:
    """The number or the statement of somebody else that a claim is about."""

    id: str
    printed: str | None
    value: float | None
    certainty: str
    certainty_means: str
    source: str


@dataclass(frozen=True)
class ClaimExplanation:
    """One claim: the cells that it reads, what they say, and the verdict with its rule.

    The three lists are as in `Explanation`; what its cells contradict, it contradicts too.
    """

    claim: str  # claims/name
    study: str
    says: str
    kind: str
    unit: str
    confidence: float
    cells: list[CellFacts]  # the subtracted one first
    steps: list[StepFacts]
    margin: float | None
    published: CitedFacts | None
    verdict: VerdictFacts
    note: str
    contradicted: list[str]
    established: list[str]
    not_established: list[str]

    @property
    def holds(self) -> bool:
        """Whether nothing that was checked is contradicted."""
        return not self.contradicted

    def as_json(self) -> dict[str, Any]:
        """The claim, as plain JSON values."""
        return {"format": FORMAT, "holds": self.holds} | asdict(self)
