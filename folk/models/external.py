"""External weights: checked against their digest and loaded into an encoder key by key."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from folk.evidence.core.digest import sha256_of
from folk.evidence.core.errors import InputError, nearest
from folk.models.stored import load_state


def load_external(
    encoder: nn.Module,
    path: Path,
    *,
    sha256: str,
    entry: str | None = None,
    prefix: str = "",
    ignore: tuple[str, ...] = (),
) -> None:
    """Load the weights of a file into an encoder; every unused key must be listed in `ignore`.

    Args:
        path: a safetensors file, or a torch file with only weights in plain containers.
        entry: dotted key of the weights in a torch file, such as "model".
        prefix: stripped from every key that is used, such as "backbone.".
        ignore: prefixes of keys, as in the file, that are not used, such as "head.".

    Raises:
        InputError: missing file, wrong digest, no weights, or keys and shapes that do not fit.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; provide it, nothing is downloaded")
    found = sha256_of(path)
    if found != sha256:
        raise InputError(
            f"{path}: expected sha256 {sha256} (encoder.checkpoint.sha256), got {found};"
            " fetch the file again or correct the recipe"
        )
    state: dict[str, Tensor] = {}
    for key, value in _weights(path, entry).items():
        if ignore and key.startswith(ignore):
            continue
        if not key.startswith(prefix):
            raise InputError(
                f"{path}: key '{key}' does not start with encoder.checkpoint.prefix '{prefix}';"
                " add its prefix to encoder.checkpoint.ignore if it is no part of the encoder"
            )
        state[key.removeprefix(prefix)] = value
    load_state(encoder, state, where=path)


def _weights(path: Path, entry: str | None) -> dict[str, Tensor]:
    try:
        if path.suffix == ".safetensors":
            content: Any = load_file(path)
        else:
            # Tensors and plain containers only: a foreign file must not run code.
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(
            f"{path}: expected only weights ({reason}); save the state dict by itself"
        ) from error
    for key in [] if entry is None else entry.split("."):
        if not isinstance(content, dict) or key not in content:
            known = map(str, content) if isinstance(content, dict) else ()
            raise InputError(
                f"{path}: encoder.checkpoint.entry: unknown '{key}'{nearest(key, known)}"
            )
        content = content[key]
    if not isinstance(content, dict) or not all(isinstance(v, Tensor) for v in content.values()):
        held = ", ".join(map(str, content)) if isinstance(content, dict) else "another type"
        raise InputError(
            f"{path}: expected weights by name, got {held}; set encoder.checkpoint.entry"
        )
    return content
