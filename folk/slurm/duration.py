"""Durations in SLURM's format."""

import re

_WITH_DAYS = re.compile(r"(?P<d>\d+)-(?P<h>\d+)(:(?P<m>\d+))?(:(?P<s>\d+))?")
_WITHOUT = re.compile(r"((?P<h>\d+):(?=\d+:))?(?P<m>\d+)(:(?P<s>\d+))?")
_UNLIMITED = ("infinite", "unlimited", "n/a")


def parse_minutes(text: str) -> int | None:
    """Read `90`, `30:00`, `8:00:00`, `2-12` or `2-12:30:00` as whole minutes, rounded down.

    A number alone is minutes and `30:00` is minutes and seconds, as in sbatch and sinfo.

    Returns:
        the minutes; None for no limit.

    Raises:
        ValueError: invalid duration.
    """
    if text.strip().lower() in _UNLIMITED:
        return None
    found = _WITH_DAYS.fullmatch(text.strip()) or _WITHOUT.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"invalid duration '{text}'; write minutes (2880) or D-HH:MM:SS")
    part = {name: int(value or 0) for name, value in found.groupdict().items()}
    return part.get("d", 0) * 1440 + part["h"] * 60 + part["m"]


def spell_minutes(minutes: int) -> str:
    """Format minutes for SLURM: `1-06:30:00`."""
    days, rest = divmod(minutes, 1440)
    clock = f"{rest // 60:02d}:{rest % 60:02d}:00"
    return f"{days}-{clock}" if days else clock
