"""Training history: one line of JSON per logged update."""

import json
import math
import os
import time
from pathlib import Path
from typing import Any

from folk.evidence.core.errors import InputError
from folk.evidence.core.files import write_text, writing_to


class History:
    """Growing metrics.jsonl, which a resumed training truncates to its checkpoint."""

    def __init__(self, path: Path, from_update: int) -> None:
        """Open the file at `path`, keeping only the lines up to `from_update` updates."""
        self.path = path
        kept = [line for line in read_history(path) if line["step"] <= from_update]
        self.lines: list[dict[str, Any]] = [] if from_update == 0 else kept
        # A new file: a process on a lost node may still write to the old one.
        write_text(path, "".join(json.dumps(line) + "\n" for line in self.lines))
        self._file = path.open("a", encoding="utf-8")

    def add(self, update: int, epoch: float, values: dict[str, float]) -> None:
        """Append one line after `update` updates; non-finite values are left out."""
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        self.append({"step": update, "epoch": epoch, "time": time.time(), **finite})

    def values(self, name: str) -> list[tuple[float, float]]:
        """Return every logged (epoch, value) of one metric."""
        return [
            (line["epoch"], line[name]) for line in self.lines if {"epoch", name} <= line.keys()
        ]

    def flush(self) -> None:
        """Flush everything written so far to disk; called before each checkpoint."""
        with writing_to(self.path):
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Flush and close."""
        self.flush()
        self._file.close()

    def append(self, line: dict[str, Any]) -> None:
        """Append one line as it is; it has the key `step`."""
        self.lines.append(line)
        with writing_to(self.path):
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()


def read_history(path: Path) -> list[dict[str, Any]]:
    """Read the lines of a metrics.jsonl; a truncated last line is dropped.

    Raises:
        InputError: an invalid line before the last one.
    """
    if not path.is_file():
        return []
    lines: list[dict[str, Any]] = []
    texts = path.read_bytes().splitlines()
    for number, text in enumerate(texts, start=1):
        try:
            line = json.loads(text)
            line["step"] + 0
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            # A kill or power loss leaves one broken line at the end.
            if number == len(texts):
                break
            raise InputError(
                f"{path}:{number}: invalid line of a history ({type(error).__name__}); restore the "
                "file, or delete the folder to start anew"
            ) from error
        lines.append(line)
    return lines
