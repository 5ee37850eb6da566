"""What an answer of SLURM means for one job: wait, finished, go on, or failed. No I/O but files."""

from dataclasses import dataclass
from enum import Enum

from folk.slurm.ledger import Progress, Submission
from folk.slurm.states import COMPLETED, ENDED_BADLY, Seen

VANISHED = "VANISHED"  # our word: neither squeue nor sacct know the job any more
# Words that a requeue may take back at the next look.
UNSETTLED = frozenset({"PREEMPTED", "NODE_FAIL"})
LOOKS = 3  # in a row that must agree before an unsettled word or a vanished job is believed
LOOKS_WITHOUT_SACCT = 10  # before a job that squeue has forgotten is given up while sacct is away
# Ends that say nothing against the job itself.
STOPPED_FROM_OUTSIDE = frozenset({"TIMEOUT", "PREEMPTED", "NODE_FAIL", "BOOT_FAIL"})

ADVICE = {
    "TIMEOUT": "its time limit came before it had saved anything new; "
    "raise resources.<stage>.runtime in the study, or save more often (runtime.checkpoint_seconds)",
    "OUT_OF_MEMORY": "raise resources.<stage>.mem_mb in the study",
    "CANCELLED": "somebody cancelled it (scancel), so it is not tried again; "
    "start the driver again to go on",
    "PREEMPTED": "another job took its place before it had saved anything new",
    "NODE_FAIL": "its node was lost before it had saved anything new",
    "REVOKED": "a sibling of it runs on another cluster of a federation; submit to one cluster",
    "DEADLINE": "its deadline had passed",
    "FAILED": "the last lines of its logs say why",
    VANISHED: "neither squeue nor sacct know it any more, and it left no finished result; "
    "the log may say how far it came",
}


class Verdict(Enum):
    """What is to be done about a job."""

    WAIT = "wait"
    FINISHED = "finished"
    FAILED = "failed"


@dataclass
class Watched:
    """A job that a driver waits for, and what it saw of it."""

    submission: Submission
    is_made: bool = False  # an earlier driver's, known to have finished
    word: str = "PENDING"
    looks: int = 0  # in a row that gave `word`

    @property
    def is_live(self) -> bool:
        """Whether it was still waiting or running at the last look."""
        over = self.is_made or self.word in {COMPLETED, VANISHED} | ENDED_BADLY
        return not over

    def judge(self, seen: Seen | None, sacct_answers: bool, is_made: bool) -> Verdict:
        """Draw the conclusion of one look.

        Args:
            seen: what SLURM says, None when it answered and does not know the job.
            sacct_answers: whether that "does not know" includes accounting.
            is_made: whether the outputs stand there and the job has marked them complete.
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
        # A limit or a rival may come between the last word of a job and SLURM's notice of its end.
        if is_made and word in {VANISHED} | STOPPED_FROM_OUTSIDE:
            return Verdict.FINISHED
        return Verdict.FAILED

    def goes_on(self, reached: Progress) -> bool:
        """Whether a job that did not finish should be submitted again at no cost to it.

        It should when it was stopped rather than failed, and saved more than it had before: so a
        training may take as many turns as it needs, and one that gets nowhere ends.
        """
        stopped = self.word in STOPPED_FROM_OUTSIDE or (self.word == "FAILED" and reached.stopped)
        return stopped and reached.step > self.submission.step

    def complaint(self) -> str:
        """The line of a failure."""
        advice = ADVICE.get(self.word)
        return f"{self.submission.shown} ended: {self.word}{f'; {advice}' if advice else ''}. "
