"""Takeover of a dead driver's jobs: attach, count as done, or stop. No I/O."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from folk.slurm.ending import VANISHED
from folk.slurm.ledger import Submission
from folk.slurm.states import COMPLETED, Seen


@dataclass(frozen=True)
class Wanted:
    """A job of today's graph whose results an earlier driver submitted."""

    outputs: tuple[str, ...]
    digest: str  # of all that determines them today
    is_needed: bool  # Snakemake would submit it
    reads_new: bool  # one of its inputs is made again first
    is_made: bool  # the outputs exist, and their job has marked them complete


@dataclass
class Takeover:
    """Decision on each submission whose end was not seen."""

    attach: dict[str, Submission] = field(default_factory=dict)  # live ones, by output
    made: dict[str, Submission] = field(
        default_factory=dict
    )  # finished and still wanted, by output
    done: list[tuple[Wanted, Submission]] = field(default_factory=list)  # nothing but metadata
    outdated: list[tuple[Wanted, Submission]] = field(
        default_factory=list
    )  # made, but from other values
    over: list[tuple[Submission, str]] = field(default_factory=list)  # ended, with its state
    refusals: list[str] = field(default_factory=list)  # a line each


def take_over(
    wanted: Iterable[tuple[Wanted, Collection[Submission]]], known: Mapping[str, Seen]
) -> Takeover:
    """Decide on every submission without a noted end.

    Args:
        wanted: jobs of today's graph, each with the submissions for its outputs, newest first.
    """
    found = Takeover()
    for job, submissions in wanted:
        chosen = False
        for submission in submissions:
            seen = known.get(submission.job)
            if seen is not None and seen.name != submission.name:
                seen = None  # the id was reused
            if seen is not None and seen.is_live:
                reason = _why_not(job, submission, chosen)
                if reason:
                    found.refusals.append(
                        f"{submission.shown} is in the queue ({seen.word}) and {reason}; "
                        f"wait for it, or: scancel {submission.job}"
                    )
                else:
                    found.attach |= dict.fromkeys(job.outputs, submission)
                chosen = True
                continue
            has_made = job.is_made and not chosen and (seen is None or seen.word == COMPLETED)
            chosen = chosen or has_made
            if not has_made:
                found.over.append((submission, seen.word if seen else VANISHED))
            elif not _is_same(job, submission):
                found.outdated.append((job, submission))
            elif job.is_needed:
                found.made |= dict.fromkeys(job.outputs, submission)
            else:
                found.done.append((job, submission))
    return found


def not_noted(
    queue: Mapping[str, Seen], folder: str, comments: Collection[str], known: Collection[str]
) -> list[str]:
    """List live jobs of this folder that make wanted results and are in no ledger."""
    return [
        f"SLURM job {job} ({seen.comment}) was submitted in this folder by a driver that died "
        f"before it noted it; wait for it, or: scancel {job}"
        for job, seen in sorted(queue.items())
        if seen.is_live and seen.folder == folder and seen.comment in comments and job not in known
    ]


def _is_same(job: Wanted, submission: Submission) -> bool:
    digests = {submission.outputs.get(output) for output in job.outputs}
    return digests == {job.digest} and not job.reads_new


def _why_not(job: Wanted, submission: Submission, chosen: bool) -> str:
    """Return why a live job cannot replace a new submission; empty if it can."""
    if chosen:
        return "makes the same results as another one"
    if job.reads_new:
        return "reads results that are to be made again"
    if not _is_same(job, submission):
        return "makes the same results from other values, code or inputs"
    return "" if job.is_needed else "would make existing results again"
