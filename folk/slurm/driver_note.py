"""Note of the driver of a folder, which outlives a killed driver.

A killed driver leaves Snakemake's lock, which does not show whether its owner lives. On the same
host the note does.
"""

import os
import socket
from dataclasses import asdict, dataclass
from pathlib import Path

from pydantic import TypeAdapter

from folk.evidence.core.files import write_json
from folk.slurm.ledger import now


@dataclass(frozen=True)
class _Note:
    host: str
    pid: int
    began: str | None  # None where the process ended while it was noted
    since: str


_FORM = TypeAdapter(_Note)
NOTES = Path(".snakemake/slurm_jobs/drivers")
LOCKS = Path(".snakemake/locks")


def leave_note() -> Path:
    """Write a note that this process is a driver, and remove notes of dead drivers on this host.

    Returns:
        the note, to be removed when the driver ends normally.
    """
    for path in NOTES.glob("*.json"):
        note = _read(path)
        if note is not None and _state(note) == "gone":
            path.unlink(missing_ok=True)
    host, pid = socket.gethostname(), os.getpid()
    path = NOTES / f"{host}-{pid}.json"
    write_json(path, asdict(_Note(host, pid, _began(pid), now())))
    return path


def describe_lock() -> list[str]:
    """Explain who holds a lock, for a user who may remove it; empty without a lock."""
    if not any(LOCKS.glob("*")):
        return []
    lines = []
    for path in sorted(NOTES.glob("*.json")):
        note = _read(path)
        if note is None:
            lines.append(f"{path}: no note of a driver; check that none is running, then delete it")
            continue
        who = f"the driver of {note.since} (process {note.pid} on {note.host})"
        state = _state(note)
        if state == "gone":
            lines.append(
                f"{who} is gone and has left its lock: call snakemake once with --unlock, "
                "then as before; its jobs in the queue are taken over"
            )
        elif state == "elsewhere":
            lines.append(
                f"{who} holds this folder; check on that host that it is gone before --unlock"
            )
        elif note.pid != os.getpid():
            lines.append(f"{who} is running in this folder; do not unlock")
    return lines


def _read(path: Path) -> _Note | None:
    try:
        return _FORM.validate_json(path.read_bytes(), strict=True)
    except (OSError, ValueError):
        return None


def _state(note: _Note) -> str:
    if note.host != socket.gethostname():
        return "elsewhere"
    return "alive" if note.began and _began(note.pid) == note.began else "gone"


def _began(pid: int) -> str | None:
    """Read the start of a process, in ticks since boot, to detect a reused id; None if it ended."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # the name before may hold spaces
    return None if fields[0] in "ZX" else fields[19]
