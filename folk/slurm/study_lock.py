"""Lock of one driver per study, released by the system with its process.

Snakemake's own lock is not enough if two studies run in one folder: the first to end removes the
locks of both.
"""

import fcntl
import os
import socket
from pathlib import Path
from typing import IO

from folk.evidence.core.errors import InputError
from folk.slurm.ledger import now

LOCKS = Path(".snakemake/studies")
_HELD: list[IO[str]] = []  # open for the life of this process


def hold_study(study: str) -> None:
    """Hold a study until this process ends, however it ends.

    On a file system without such locks nothing is held, and only Snakemake's lock applies.

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
    _HELD.append(file)
