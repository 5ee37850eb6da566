"""Verdict on one job from SLURM's answer: wait, finished, continue, or failed. No I/O but files."""

from dataclasses import dataclass
from enum import Enum

from folk.slurm.ledger import Progress, Submission
from folk.slurm.states import COMPLETED, ENDED_BADLY, Seen

VANISHED = "VANISHED"  # our own state: neither squeue nor sacct know the job
# States that a requeue may revert at the next poll.
UNSETTLED = frozenset({"PREEMPTED", "NODE_FAIL"})
LOOKS = 3  # polls in a row that must agree before an unsettled state or a vanished job is believed
LOOKS_WITHOUT_SACCT = (
    10  # polls before giving up a job that squeue has forgotten while sacct is away
)
# End states that are not the job's own fault.
STOPPED_FROM_OUTSIDE = frozenset({"TIMEOUT", "PREEMPTED", "NODE_FAIL", "BOOT_FAIL"})

ADVICE = {
    "TIMEOUT": "it reached its time limit before saving anything new; "
    "raise resources.<stage>.runtime in the study, or save more often (runtime.checkpoint_seconds)",
    "OUT_OF_MEMORY": "raise resources.<stage>.mem_mb in the study",
    "CANCELLED": "it was cancelled (scancel), so it is not tried again; "
    "start the driver again to continue",
    "PREEMPTED": "it was preempted before saving anything new",
    "NODE_FAIL": "its node failed before it saved anything new",
    "REVOKED": "a sibling of it runs on another cluster of a federation; submit to one cluster",
    "DEADLINE": "its deadline had passed",
    "FAILED": "see the last lines of its logs",
    VANISHED: "neither squeue nor sacct know it, and it left no finished result; see its log",
}


class Verdict(Enum):
    """Action to take on a job."""

    WAIT = "wait"
    FINISHED = "finished"
    FAILED = "failed"


@dataclass
class Watched:
    """A job that a driver waits for, and its last polled state."""

    submission: Submission
    is_made: bool = False  # an earlier driver's, known to have finished
    word: str = "PENDING"
    looks: int = 0  # polls in a row that gave `word`

    @property
    def is_live(self) -> bool:
        """True if it was waiting or running at the last poll."""
        over = self.is_made or self.word in {COMPLETED, VANISHED} | ENDED_BADLY
        return not over

    def judge(self, seen: Seen | None, sacct_answers: bool, is_made: bool) -> Verdict:
        """Judge one poll.

        Args:
            seen: SLURM's answer; None if it does not know the job.
            sacct_answers: True if accounting was asked too.
            is_made: True if the outputs exist and the job has marked them complete.
        """
        if self.is_made:
            self.word = COMPLETED
            return Verdict.FINISHED
        known = seen is not None and seen.name == self.submission.name
        word = seen.word if seen is not None and known else VANISHED
        self.looks = self.looks + 1 if word == self.word else 1
        self.word = word
        if word == COMPLETED:
            return Verdict.FINISHED
        if known and seen is not None and seen.is_live:
            return Verdict.WAIT
        needed = LOOKS if word in UNSETTLED or word == VANISHED else 1
        if word == VANISHED and not sacct_answers:
            needed = LOOKS_WITHOUT_SACCT
        if self.looks < needed:
            return Verdict.WAIT
        # A time limit or preemption may hit between a last step and SLURM's notice of the end.
        if is_made and word in {VANISHED} | STOPPED_FROM_OUTSIDE:
            return Verdict.FINISHED
        return Verdict.FAILED

    def goes_on(self, reached: Progress) -> bool:
        """Return True if an unfinished job should be resubmitted without counting as a retry.

        That is so if it was stopped rather than failed, and saved more than before: a training may
        take as many jobs as it needs, and one without progress ends.
        """
        stopped = self.word in STOPPED_FROM_OUTSIDE or (self.word == "FAILED" and reached.stopped)
        return stopped and reached.step > self.submission.step

    def complaint(self) -> str:
        """Describe the failure in one line."""
        advice = ADVICE.get(self.word)
        return f"{self.submission.shown} ended: {self.word}{f'; {advice}' if advice else ''}. "
