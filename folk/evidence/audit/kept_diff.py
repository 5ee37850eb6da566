"""Whether the uncommitted changes kept beside a record are those that it names."""

import hashlib
from pathlib import Path
from typing import Literal

KeptDiff = Literal["kept", "cut", "not UTF-8", "other", "missing"]

_REPLACED = "\ufffd".encode()


def kept_diff(path: Path, digest: str) -> KeptDiff:
    """Compare a kept diff with the digest that its record has of the changes.

    A long diff is kept in part and ends with a line that says so, with the digest of all of it. One
    that held bytes which are not UTF-8 was kept with marks in their place. Neither can be compared.

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
