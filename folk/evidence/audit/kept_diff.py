"""Check of the stored uncommitted changes of a record."""

import hashlib
from pathlib import Path
from typing import Literal

KeptDiff = Literal["kept", "cut", "not UTF-8", "other", "missing"]

_REPLACED = "\ufffd".encode()


def kept_diff(path: Path, digest: str) -> KeptDiff:
    """Compare a kept diff with the digest that its record has of the changes.

    A long diff is truncated and ends with a line that has the digest of the whole. Bytes that are
    not UTF-8 were replaced. Neither can be compared.

    Args:
        path: of the diff.
        digest: sha256 of the changes as they were.
    """
    if not path.is_file():
        return "missing"
    text = path.read_bytes()
    if hashlib.sha256(text).hexdigest() == digest:
        return "kept"
    if text.rstrip().endswith(f"sha256 {digest}]".encode()) and b"\n[cut here: " in text[-200:]:
        return "cut"
    return "not UTF-8" if _REPLACED in text else "other"
