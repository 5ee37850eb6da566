"""Somebody else's weights: checked against their digest and laid into an encoder key by key."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from folk.evidence.core.errors import InputError, nearest
from folk.models.stored import load_state, sha256_of


def load_external(
    encoder: nn.Module,
    path: Path,
    *,
    sha256: str,
    entry: str | None = None,
    prefix: str = "",
    ignore: tuple[str, ...] = (),
) -> None:
    """Fill an encoder with the weights of a file; nothing is left out that was not named.

    Args:
        encoder: gets the weights.
        path: a safetensors file, or one of torch with nothing but weights in plain containers.
        sha256: of the file, 64 hex digits.
        entry: dotted key of a torch file under which the weights stand, such as "model".
        prefix: stripped from every key that is used, such as "backbone.".
        ignore: beginnings of keys, as the file has them, that are left out, such as "head.".

    Raises:
        InputError: no such file, another digest, not weights, or keys and shapes that do not fit.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; put it there, nothing is downloaded")
    found = sha256_of(path)
    if found != sha256:
        raise InputError(
            f"{path}: its sha256 is {found}, encoder.checkpoint.sha256 says {sha256};"
            " fetch the file again or correct the recipe"
        )
    state: dict[str, Tensor] = {}
    for key, value in _weights(path, entry).items():
        if ignore and key.startswith(ignore):
            continue
        if not key.startswith(prefix):
            raise InputError(
                f"{path}: key '{key}' does not begin with encoder.checkpoint.prefix '{prefix}';"
                " name its beginning in encoder.checkpoint.ignore if it belongs to no encoder"
            )
        state[key.removeprefix(prefix)] = value
    load_state(encoder, state, where=path)


def _weights(path: Path, entry: str | None) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            content: Any = load_file(path)
        else:
            # Tensors and plain containers only: nothing in somebody else's file may run.
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path}: not a file of weights alone ({reason}); save its state dict by itself"
        ) from error
    for key in [] if entry is None else entry.split("."):
        if not isinstance(content, dict) or key not in content:
            known = map(str, content) if isinstance(content, dict) else ()
            raise InputError(f"{path}: encoder.checkpoint.entry: no '{key}'{nearest(key, known)}")
        content = content[key]
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        held = ", ".join(map(str, content)) if isinstance(content, dict) else "something else"
        raise InputError(
            f"{path}: not weights by name but {held}; name their place in encoder.checkpoint.entry"
        )
    return content
