"""One driver a study: a lock that the system takes away with the process that holds it.

Snakemake's own lock is not enough where two studies run in one folder: whichever ends first removes
the locks of both.
"""

import fcntl
import os
import socket
from pathlib import Path
from typing import IO

from folk.evidence.core.errors import InputError
from folk.slurm.ledger import now

LOCKS = Path(".snakemake/studies")
_HELD: list[IO[str]] = []  # open as long as this process lives


def hold_study(study: str) -> None:
    """Hold a study until this process ends, however it ends.

    On a file system that knows no such locks nothing is held, and Snakemake's lock must do.

    Raises:
        InputError: another driver is at work on it.
    """
    LOCKS.mkdir(parents=True, exist_ok=True)
    file = (LOCKS / f"{study}.lock").open("a+", encoding="utf-8")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        who = file.read().strip() or "it has not said which"
        file.close()
        raise InputError(
            f"{study}: another call of snakemake is at work on it ({who}); wait for its end, or "
            "end it first"
        ) from None
    except OSError:
        pass
    file.truncate(0)
    file.write(f"process {os.getpid()} on {socket.gethostname()} since {now()}\n")
    file.flush()
    _HELD.append(file)
