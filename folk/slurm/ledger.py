"""Ledger of jobs submitted to SLURM whose end was not seen yet, one small file each.

    .snakemake/slurm_jobs/<slurm id>.json          submitted; its end is not noted yet
    .snakemake/slurm_jobs/ended/<slurm id>.json    the same with its end, for later drivers

A driver started after another one died reads them, and so submits no job again.
"""

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict, TypeAdapter

from folk.evidence.core.files import write_json
from folk.evidence.core.json_file import read_json

LEDGER = Path(".snakemake/slurm_jobs")


@dataclass(frozen=True)
class Submission:
    """One job submitted to SLURM."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    job: str  # SLURM's id
    name: str  # job name, the same for all jobs of a driver, to detect a reused id
    rule: str
    wildcards: str
    outputs: dict[str, str]  # file -> digest of all that determines it
    log: str  # SLURM's log of the job
    work: str | None  # folder of growing state, for a job that can continue
    step: int  # progress of the job when it was submitted
    submitted: str  # UTC, ISO 8601
    ended: str | None = None  # UTC
    end: str | None = None  # end state, SLURM's or our own

    @property
    def shown(self) -> str:
        """Name in messages: `SLURM job 17 (pretrain folk-s0)`."""
        return f"SLURM job {self.job} ({' '.join(filter(None, (self.rule, self.wildcards)))})"

    @property
    def age(self) -> float:
        """Seconds since it was submitted."""
        return (datetime.now(UTC) - datetime.fromisoformat(self.submitted)).total_seconds()


_FORM = TypeAdapter(Submission)


class Ledger:
    """Submissions of all drivers of one folder.

    Args:
        folder: folder of the files; made when the first one is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ended = folder / "ended"

    def open(self, submission: Submission) -> None:
        """Note a job that was just submitted."""
        write_json(self.folder / f"{submission.job}.json", asdict(submission))

    def close(self, submission: Submission, end: str) -> None:
        """Note how a job ended, once a driver has judged it."""
        closed = replace(submission, ended=now(), end=end)
        write_json(self._ended / f"{submission.job}.json", asdict(closed))
        (self.folder / f"{submission.job}.json").unlink(missing_ok=True)

    def owed(self) -> list[Submission]:
        """List submissions whose end no driver has seen, the newest first."""
        found: list[tuple[float, Submission]] = []
        for path in self.folder.glob("*.json"):
            try:
                submission = _FORM.validate_json(path.read_bytes(), strict=True)
                found.append((submission.age, submission))
            except (OSError, ValueError, TypeError):
                raise ValueError(
                    f"{path}: invalid submission; check that job {path.stem} is not running "
                    "(squeue), then delete the file"
                ) from None
        return [submission for _, submission in sorted(found, key=lambda aged: aged[0])]

    def knows(self, job: str) -> bool:
        """Return True if a job of this id was ever noted."""
        return any((folder / f"{job}.json").exists() for folder in (self.folder, self._ended))


@dataclass(frozen=True)
class Progress:
    """Progress of a job's growing state."""

    step: int  # updates that a checkpoint holds; 0 without one
    stopped: bool  # True if its last start ended with a planned stop


def progress_of(work: str | None) -> Progress:
    """Read `progress.json` and the open record in a folder of growing state.

    Args:
        work: the folder, or None for a job that has none.
    """
    if work is None:
        return Progress(0, False)
    step = _value(Path(work, "progress.json"), "step")
    outcome = _value(Path(work, "record.open.json"), "outcome")
    return Progress(step if isinstance(step, int) else 0, outcome == "interrupted")


def _value(path: Path, key: str) -> object:
    """Read a value of a JSON file that another machine may be replacing; None if unavailable."""
    try:
        return read_json(path, "it is written anew").get(key)
    except (ValueError, AttributeError):
        return None


def now() -> str:
    """Current time in UTC, in the ledger's format."""
    return datetime.now(UTC).isoformat(timespec="seconds")
