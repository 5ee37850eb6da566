"""Job states from squeue and sacct, one query for all jobs; no answer never means "no jobs".

squeue is asked first, since it knows what runs; it forgets an ended job after the site's MinJobAge.
sacct, where a site has accounting, is asked about those that squeue has forgotten.
"""

import shutil
import subprocess
from collections.abc import Collection
from dataclasses import dataclass
from os import environ, getuid
from pwd import getpwuid

from folk.slurm.queues import one_cluster, without_filters

COMPLETED = "COMPLETED"
# All end states of SLURM 20 to 25; all others, and new ones, mean that a job is live.
ENDED_BADLY = frozenset(
    {
        "BOOT_FAIL",
        "CANCELLED",
        "DEADLINE",
        "FAILED",
        "LAUNCH_FAILED",
        "NODE_FAIL",
        "OUT_OF_MEMORY",
        "PREEMPTED",
        "RECONFIG_FAIL",
        "REVOKED",
        "TIMEOUT",
    }
)
SECONDS = 60.0  # timeout; squeue and sacct retry within it
DISABLED = "accounting storage is disabled"


class NoAnswerError(RuntimeError):
    """SLURM did not answer, so no job's state is known."""


@dataclass(frozen=True)
class Seen:
    """State of one job, and the fields that identify it."""

    word: str
    name: str
    folder: str = ""  # from squeue only: working directory and comment
    comment: str = ""

    @property
    def is_live(self) -> bool:
        """True if the job waits, runs or is ending."""
        return self.word != COMPLETED and self.word not in ENDED_BADLY


def in_queue() -> dict[str, Seen]:
    """List every job of this user that slurmctld knows, by id, recently ended ones included.

    Raises:
        NoAnswerError: squeue failed, or took longer than a minute.
    """
    user = getpwuid(getuid()).pw_name
    columns = "%i|%T|%j|%Z|%k"
    asked = ["squeue", "--noheader", "--states=all", f"--user={user}", f"--format={columns}"]
    return {
        job: Seen(_clean(word), name, folder, comment)
        for job, word, name, folder, comment in _rows(5, *asked)
    }


def in_accounts(jobs: Collection[str]) -> dict[str, Seen]:
    """Read the states of these jobs from slurmdbd, by id; empty without accounting.

    Raises:
        NoAnswerError: sacct failed for another reason, such as a slurmdbd that is away.
    """
    if not jobs or shutil.which("sacct") is None:
        return {}
    asked = ["sacct", "--allocations", "--noheader", "--parsable2", f"--jobs={','.join(jobs)}"]
    try:
        rows = _rows(3, *asked, "--format=JobIDRaw,State,JobName")
    except NoAnswerError as error:
        if DISABLED in str(error):
            return {}
        raise
    # A requeued job has a line for each start, in order.
    return {job: Seen(_clean(word), name) for job, word, name in rows}


def _clean(text: str) -> str:
    """Strip a state to one word: sacct prints `CANCELLED by 1000`, or `CANCELLED+` if truncated."""
    return text.split()[0].rstrip("+") if text.strip() else "UNKNOWN"


def _rows(columns: int, *command: str) -> list[list[str]]:
    """Return a program's output, line by line, split at the first `|`s."""
    try:
        done = subprocess.run(
            command,
            env=without_filters(environ),
            capture_output=True,
            timeout=SECONDS,
            check=False,
            encoding="utf-8",
        )
    except subprocess.TimeoutExpired:
        raise NoAnswerError(f"{command[0]} did not answer within {SECONDS:.0f} s") from None
    except OSError as error:
        raise NoAnswerError(f"{command[0]}: {error.strerror}") from None
    if done.returncode != 0:
        message = (done.stderr.strip() or done.stdout.strip()).replace("\n", "; ")
        raise NoAnswerError(f"{command[0]}: {message or f'exit status {done.returncode}'}")
    rows = [line.split("|", columns - 1) for line in one_cluster(done.stdout)]
    for row in rows:
        if len(row) != columns:
            raise NoAnswerError(f"{command[0]}: invalid line: {'|'.join(row)}")
    return rows
