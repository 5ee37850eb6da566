"""Log of a training's states, `replay.jsonl`: a line for each digest, chained.

A line has `step`, the updates made; `state`, the sha256 of the state in canonical bytes, which is
that of its file where the state is kept; `on`, the machine that makes the updates after it; and
`before`, the sha256 of the line before.
"""

import hashlib
import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from folk.evidence.core.errors import InputError
from folk.evidence.core.ranges import Count
from folk.evidence.core.yaml_model import Section

LOG = "replay.jsonl"
STATES = "replay"  # folder of the kept states
# In the work folder of a training that is to be replayed; see `folk.training.replay`.
REQUEST, ANSWER = "replay-request.json", "replay-answer.json"

Line = Mapping[str, Any]
Segment = tuple[int, int]  # updates made at its start and at its end


class Cadence(Section):
    """Log of a training's states, parts of which `verify --replay` runs again."""

    every: Count
    """Updates between two digests of the whole state."""
    keep: Count
    """States kept with the results, evenly spaced, the last one among them. An audit draws from the
    stretches between them.
    """

    def steps(self, updates: int) -> list[int]:
        """List the numbers of updates after which a training of `updates` writes a line."""
        return [*range(0, updates, self.every), updates]

    def segments(self, updates: int) -> list[Segment]:
        """Cut a training where its states are kept: evenly, at steps of the log, and at the end."""
        steps = self.steps(updates)
        last = len(steps) - 1
        count = min(self.keep, last)
        return list(pairwise(steps[last * part // count] for part in range(count + 1)))

    def kept(self, updates: int) -> list[int]:
        """List the steps whose states are kept. Recipe and seed determine the first state."""
        return [end for _, end in self.segments(updates)]


def state_name(step: int) -> str:
    """Name the file of a kept state."""
    return f"{step}.safetensors"


def link(line: str) -> str:
    """Hash a line, without its end, for the one after it."""
    return hashlib.sha256(line.encode()).hexdigest()


def read_log(path: Path) -> list[dict[str, Any]]:
    """Read a finished log and check its chain.

    Raises:
        InputError: a line is invalid, or not chained to the one before.
    """
    lines: list[dict[str, Any]] = []
    before = ""
    texts = path.read_text(encoding="utf-8", errors="replace").splitlines()
    for number, text in enumerate(texts, start=1):
        try:
            line = json.loads(text)
            found, on = line["before"], line["on"]
            numbers = line["step"], on["processes"], on["threads"], on["repeatable"]
            if not all(isinstance(each, int) for each in numbers):
                raise TypeError(numbers)
            bytes.fromhex(line["state"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise InputError(f"{path}:{number}: invalid line ({type(error).__name__})") from error
        if found != before:
            raise InputError(f"{path}:{number}: the chain is broken before update {line['step']}")
        lines.append(line)
        before = link(text)
    return lines
