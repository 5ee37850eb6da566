"""What SLURM says of jobs: one question for all of them, and no answer is never "no jobs".

squeue is asked first, since it knows what runs; it forgets an ended job after the site's MinJobAge.
sacct, where a site has accounting, is asked about those that squeue has forgotten.
"""

import shutil
import subprocess
from collections.abc import Collection
from dataclasses import dataclass
from os import getuid
from pwd import getpwuid

COMPLETED = "COMPLETED"
# Every word of SLURM 20 to 25 that ends a job; all others, and new ones, mean that it lives.
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
SECONDS = 60.0  # for an answer; squeue and sacct try several times within them
DISABLED = "accounting storage is disabled"


class NoAnswerError(RuntimeError):
    """A service of SLURM did not answer; nothing follows from that about any job."""


@dataclass(frozen=True)
class Seen:
    """What is known of one job: its state in one word, and by what it is told from others."""

    word: str
    name: str
    folder: str = ""  # squeue's alone: working directory and comment
    comment: str = ""

    @property
    def is_live(self) -> bool:
        """Whether the job waits, runs or is just ending."""
        return self.word != COMPLETED and self.word not in ENDED_BADLY


def in_queue() -> dict[str, Seen]:
    """Every job of this user that slurmctld knows, by id; those that ended a while ago, too.

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
    """What slurmdbd remembers of these jobs, by id; nothing where a site has no accounting.

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
    # A requeued job has a line for each start, the last one last.
    return {job: Seen(_clean(word), name) for job, word, name in rows}


def _clean(text: str) -> str:
    """One word: sacct says `CANCELLED by 1000`, and `CANCELLED+` where a column was too narrow."""
    return text.split()[0].rstrip("+") if text.strip() else "UNKNOWN"


def _rows(columns: int, *command: str) -> list[list[str]]:
    """What a program prints, line by line, cut at the first `|`s."""
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=SECONDS, check=False, encoding="utf-8"
        )
    except subprocess.TimeoutExpired:
        raise NoAnswerError(f"{command[0]} did not answer within {SECONDS:.0f} s") from None
    except OSError as error:
        raise NoAnswerError(f"{command[0]}: {error.strerror}") from None
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).replace("\n", "; ")
        raise NoAnswerError(f"{command[0]}: {said or f'exit status {done.returncode}'}")
    rows = [line.split("|", columns - 1) for line in done.stdout.splitlines() if line.strip()]
    for row in rows:
        if len(row) != columns:
            raise NoAnswerError(f"{command[0]}: a line that is none of its table: {'|'.join(row)}")
    return rows
