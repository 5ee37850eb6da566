"""Lock of one driver per study, released by the system with its process.

Snakemake's own lock does not show whether its owner lives, and if two studies run in one folder,
the first to end removes the locks of both.
"""

import atexit
import fcntl
import os
import socket
from pathlib import Path
from typing import IO

from folk.evidence.core.errors import InputError
from folk.slurm.ledger import now

LOCKS = Path(".snakemake/studies")
LOCKS_OF_SNAKEMAKE = Path(".snakemake/locks")


def hold_study(study: str) -> None:
    """Hold a study until this process ends, however it ends.

    Its file names the process, and is empty after a normal end. On a file system without such locks
    nothing is held, and only Snakemake's lock applies.

    Raises:
        InputError: another driver is running it.
    """
    LOCKS.mkdir(parents=True, exist_ok=True)
    file = (LOCKS / f"{study}.lock").open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        who = file.read().strip() or "unknown process"
        file.close()
        raise InputError(
            f"{study}: another call of snakemake is running it ({who}); wait for its end, or "
            "end it first"
        ) from None
    except OSError:
        pass
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()} since {now()}\n")
    file.flush()
    atexit.register(file.truncate, 0)  # keeps it open, too, and so the lock


def describe_lock() -> list[str]:
    """Explain who holds Snakemake's lock, for a user who may remove it; empty without one."""
    if not any(LOCKS_OF_SNAKEMAKE.glob("*")):
        return []
    lines = []
    for path in sorted(LOCKS.glob("*.lock")):
        with path.open(encoding="utf-8", errors="replace") as file:
            who = file.read().strip()
            if who:
                lines.append(f"{path.stem}: its driver ({who}) {_state(file, who)}")
    return lines


def _state(file: IO[str], who: str) -> str:
    is_gone = False
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        # Many file systems keep such locks on each host for itself.
        is_gone = f" on {socket.gethostname()} since " in who
    except BlockingIOError:
        return "is running in this folder; do not unlock"
    except OSError:
        pass
    if is_gone:
        return (
            "is gone and has left its lock: call snakemake once with --unlock, then as before; "
            "the executor folk-slurm takes over its jobs in the queue"
        )
    return "holds this folder; check on that host that it is gone before --unlock"
