"""Storage of a network: weights in safetensors, and a card with their metadata in JSON.

Both files share a stem, such as `encoder.safetensors` and `encoder.json`.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from folk.evidence.core.digest import sha256_of
from folk.evidence.core.errors import InputError, brief
from folk.evidence.core.files import atomic_write, write_json
from folk.evidence.core.json_file import read_form

FORMAT = 1
Card = TypeVar("Card")  # a dataclass


@dataclass(frozen=True)
class Kind:
    """A kind of stored network."""

    name: str  # stem of its files
    maker: str  # stage that makes it, for errors


def write_weights(folder: Path, kind: Kind, network: nn.Module) -> str:
    """Write the weights atomically; return their digest."""
    path = folder / f"{kind.name}.safetensors"
    state = {key: value.detach().cpu().contiguous() for key, value in network.state_dict().items()}
    with atomic_write(path) as temp:
        # Not save_file: it writes to its own temp file first, which a kill would leave behind.
        temp.write_bytes(save(state))
    return sha256_of(path)


def write_card(folder: Path, kind: Kind, card: object) -> None:
    """Write a dataclass as the card, atomically."""
    write_json(folder / f"{kind.name}.json", {"format": FORMAT, **vars(card)})


def read_card(folder: Path, kind: Kind, card: type[Card]) -> Card:
    """Read the card.

    Raises:
        InputError: the card is missing or invalid.
    """
    path = folder / f"{kind.name}.json"
    if not path.is_file():
        raise InputError(f"{path}: no such file; run the {kind.maker} that makes it")
    return read_form(path, card, FORMAT, f"run the {kind.maker} again")


def read_weights(folder: Path, kind: Kind, sha256: str) -> dict[str, Tensor]:
    """Read the weights and compare them with the digest on their card.

    Raises:
        InputError: the weights are missing or have another digest.
    """
    path = folder / f"{kind.name}.safetensors"
    if not path.is_file():
        raise InputError(f"{path}: no such file; run the {kind.maker} that makes it")
    try:
        found = sha256_of(path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}; fetch it again") from error
    if found != sha256:
        raise InputError(
            f"{path}: expected sha256 {sha256[:12]}... ({kind.name}.json), got {found[:12]}...;"
            " fetch or make it again"
        )
    try:
        return load_file(path)
    except (SafetensorError, ValueError, OSError) as error:
        raise InputError(
            f"{path}: invalid weights ({brief(error)}); run the {kind.maker} again"
        ) from error


def load_state(
    model: nn.Module,
    state: dict[str, Tensor],
    where: Path,
    may_miss: frozenset[str] = frozenset(),
    may_ignore: frozenset[str] = frozenset(),
) -> None:
    """Load weights; only listed keys may differ.

    Args:
        where: their file, for the error.
        may_miss: keys of the model that the file may lack.
        may_ignore: keys of the file that the model may lack.

    Raises:
        InputError: any other key or a shape does not fit.
    """
    own = model.state_dict()
    missing = sorted(own.keys() - state.keys() - may_miss)
    unknown = sorted(state.keys() - own.keys() - may_ignore)
    misfits = sorted(key for key in own.keys() & state.keys() if own[key].shape != state[key].shape)
    for problem, keys in (
        ("missing keys", missing),
        ("unknown keys", unknown),
        ("other shapes of", misfits),
    ):
        if keys:
            more = f" and {len(keys) - 3} more" if len(keys) > 3 else ""
            raise InputError(
                f"{where}: {problem} {', '.join(keys[:3])}{more};"
                " use weights of this architecture and input size"
            )
    model.load_state_dict({key: state[key] for key in own.keys() & state.keys()}, strict=False)
