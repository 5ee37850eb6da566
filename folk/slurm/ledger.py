"""Which jobs were handed to SLURM and not yet seen to end: one small file for each.

    .snakemake/slurm_jobs/<slurm id>.json          handed over; a driver owes it an end
    .snakemake/slurm_jobs/ended/<slurm id>.json    the same with its end, for whoever asks later

A driver that is started after another one died reads them, and so submits nothing twice.
"""

from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar

from pydantic import ConfigDict, TypeAdapter

from folk.evidence.core.files import write_json
from folk.evidence.core.json_file import read_json


@dataclass(frozen=True)
class Submission:
    """One job in the hands of SLURM."""

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    job: str  # SLURM's id
    name: str  # of the job; one for all jobs of a driver, so it tells a reused id from ours
    rule: str
    wildcards: str
    outputs: dict[str, str]  # file -> digest of what decides it
    log: str  # SLURM's log of the job
    work: str | None  # folder of growing state, of a job that continues where it was stopped
    step: int  # how far the job had got when it was submitted
    submitted: str  # UTC, ISO 8601
    ended: str | None = None  # UTC
    end: str | None = None  # how, in one word of SLURM's or of ours

    @property
    def shown(self) -> str:
        """How a message names it: `SLURM job 17 (pretrain folk-s0)`."""
        return f"SLURM job {self.job} ({' '.join(filter(None, (self.rule, self.wildcards)))})"

    @property
    def age(self) -> float:
        """Seconds since it was submitted."""
        return (datetime.now(UTC) - datetime.fromisoformat(self.submitted)).total_seconds()


_FORM = TypeAdapter(Submission)


class Ledger:
    """The submissions of all drivers of one folder.

    Args:
        folder: where the files lie; made when the first one is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ended = folder / "ended"

    def open(self, submission: Submission) -> None:
        """Note a job that SLURM has just taken."""
        write_json(self.folder / f"{submission.job}.json", asdict(submission))

    def close(self, submission: Submission, end: str) -> None:
        """Note how a job ended, once a driver has drawn its conclusion."""
        closed = replace(submission, ended=now(), end=end)
        write_json(self._ended / f"{submission.job}.json", asdict(closed))
        (self.folder / f"{submission.job}.json").unlink(missing_ok=True)

    def owed(self) -> list[Submission]:
        """Submissions whose end no driver has seen, the newest first."""
        found: list[tuple[float, Submission]] = []
        for path in self.folder.glob("*.json"):
            try:
                submission = _FORM.validate_json(path.read_bytes(), strict=True)
                found.append((submission.age, submission))
            except (OSError, ValueError, TypeError):
                raise ValueError(
                    f"{path}: not a submission of this version; see whether job {path.stem} still "
                    "runs (squeue), then delete the file"
                ) from None
        return [submission for _, submission in sorted(found, key=lambda aged: aged[0])]

    def knows(self, job: str) -> bool:
        """Whether a job of this id was ever noted."""
        return any((folder / f"{job}.json").exists() for folder in (self.folder, self._ended))


@dataclass(frozen=True)
class Progress:
    """How far the growing state of a job has got."""

    step: int  # updates that a checkpoint holds; 0 without one
    stopped: bool  # whether its last start ended by itself, in order to be continued


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
    """A value of a JSON file that another machine may just be replacing; None if there is none."""
    try:
        return read_json(path, "it is written anew").get(key)
    except (ValueError, AttributeError):
        return None


def now() -> str:
    """This moment in UTC, as the ledger spells it."""
    return datetime.now(UTC).isoformat(timespec="seconds")
