"""Resume checkpoint of an unfinished training, written atomically."""

import zipfile
from pathlib import Path
from typing import Any

import torch

from folk.evidence.core.errors import InputError
from folk.evidence.core.files import UnwritableError, atomic_write


def save_checkpoint(path: Path, identity: str, update: int, state: dict[str, Any]) -> None:
    """Write a checkpoint to a temp file and rename it, so that a kill keeps the previous one.

    Args:
        identity: digest of everything that determines the result; see `load_checkpoint`.
        state: nested dictionaries of tensors and numbers.

    Raises:
        InputError: the file could not be written; the previous checkpoint is kept.
    """
    try:
        # An open file, not its path: given a path, torch hides why writing failed.
        with atomic_write(path) as temp, temp.open("wb") as file:
            torch.save({"identity": identity, "update": update, "state": state}, file)
    except UnwritableError as error:
        raise InputError(
            f"{path}: the checkpoint of update {update} could not be written ({error.reason}); "
            "the previous one is kept; make room, then start again"
        ) from error


def load_checkpoint(path: Path, identity: str) -> tuple[int, dict[str, Any]] | None:
    """Read a checkpoint if it belongs to this training.

    Args:
        identity: recipe, seed, data and code, as one digest. A checkpoint with another identity is
            left over from another training and is not continued.

    Returns:
        the number of updates made, and the state; None if there is nothing to continue.

    Raises:
        InputError: the file is damaged.
    """
    if not path.exists():
        return None
    try:
        # torch does not verify the checksum of a tensor, and a flipped bit would go unnoticed.
        with zipfile.ZipFile(path) as archive:
            if (name := archive.testzip()) is not None:
                raise zipfile.BadZipFile(name)
        # Tensors and plain containers only: loading a checkpoint must not run code.
        content = torch.load(path, map_location="cpu", weights_only=True)
        found, update, state = content["identity"], int(content["update"]), content["state"]
    except Exception as error:
        raise InputError(
            f"{path}: damaged checkpoint ({type(error).__name__}); delete it to start anew"
        ) from error
    return (update, state) if found == identity else None
