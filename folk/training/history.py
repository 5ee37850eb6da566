"""How a training went: one line of JSON for each logged update."""

import json
import math
import os
import time
from pathlib import Path
from typing import Any

from folk.evidence.core.errors import InputError
from folk.evidence.core.files import write_text, writing_to


class History:
    """A metrics.jsonl that grows, and that a resumed training cuts back to its checkpoint."""

    def __init__(self, path: Path, from_update: int) -> None:
        """Open the file at `path`, keeping only the lines up to `from_update` updates."""
        self.path = path
        kept = [line for line in read_history(path) if line["step"] <= from_update]
        self.lines: list[dict[str, Any]] = [] if from_update == 0 else kept
        # A new file: the process of a node that the cluster has lost may still write to the old.
        write_text(path, "".join(json.dumps(line) + "\n" for line in self.lines))
        self._file = path.open("a", encoding="utf-8")

    def add(self, update: int, epoch: float, values: dict[str, float]) -> None:
        """Append one line after `update` updates; non-finite values are left out."""
        finite = {name: value for name, value in values.items() if math.isfinite(value)}
        self._append({"step": update, "epoch": epoch, "time": time.time(), **finite})

    def values(self, name: str) -> list[tuple[float, float]]:
        """Every logged (epoch, value) of one metric."""
        return [
            (line["epoch"], line[name]) for line in self.lines if {"epoch", name} <= line.keys()
        ]

    def flush(self) -> None:
        """Bring everything written so far to the disk; called before each checkpoint."""
        with writing_to(self.path):
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Flush and close."""
        self.flush()
        self._file.close()

    def _append(self, line: dict[str, Any]) -> None:
        self.lines.append(line)
        with writing_to(self.path):
            self._file.write(json.dumps(line) + "\n")
            self._file.flush()


def read_history(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics.jsonl; a last line cut short by a kill is dropped.

    Raises:
        InputError: a line before the last one is none.
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
            # A kill, or a loss of power, leaves one broken line and nothing behind it.
            if number == len(texts):
                break
            raise InputError(
                f"{path}:{number}: not a line of a history ({type(error).__name__}); bring the "
                "file back, or delete the folder to start anew"
            ) from error
        lines.append(line)
    return lines
