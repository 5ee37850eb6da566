"""Hours and devices of a job, from its record."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any


def hours_of(record: Mapping[str, Any]) -> float | None:
    """Sum the hours of all starts of a job; None if one was killed and its time is unknown."""
    hours = [hours for hours, _ in _starts(record)]
    return None if None in hours else sum(h for h in hours if h is not None)


def device_hours(record: Mapping[str, Any]) -> float | None:
    """Sum hours times GPUs (CPU threads without any) of all starts; None as above."""
    spent = [None if hours is None else hours * devices for hours, devices in _starts(record)]
    return None if None in spent else sum(s for s in spent if s is not None)


def gpus_of(record: Mapping[str, Any]) -> int:
    """Count the GPUs of the last start, one process each; 0 on a CPU."""
    return _processes(record) if record["hardware"]["gpus"] else 0


def threads_of(record: Mapping[str, Any]) -> int:
    """Count the CPU threads of all processes of the last start."""
    argv = record["argv"]
    each = int(argv[argv.index("--threads") + 1]) if "--threads" in argv[:-1] else 1
    return _processes(record) * each


def _starts(record: Mapping[str, Any]) -> Iterator[tuple[float | None, int]]:
    """Yield hours and devices of each start, the last one first."""
    last = gpus_of(record) or threads_of(record)
    yield float(record["seconds"]) / 3600.0, last
    for start in record["restarts"]:
        hours = None
        if start["ended"] is not None:
            begun, ended = (datetime.fromisoformat(start[key]) for key in ("started", "ended"))
            hours = (ended - begun).total_seconds() / 3600.0
        # Older records lack the geometry of earlier starts.
        spread = start.get("geometry")
        if spread is None:
            yield hours, last
        else:
            yield hours, spread["world_size"] * (1 if start["gpus"] else spread["threads"])


def _processes(record: Mapping[str, Any]) -> int:
    return int(record["environment"]["variables"].get("WORLD_SIZE", 1))
