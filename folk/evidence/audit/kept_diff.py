"""Check of the stored uncommitted changes of a record."""

import hashlib
import re
from pathlib import Path
from typing import Literal

from folk.evidence.record.environment import DIFF_CAP_BYTES

KeptDiff = Literal["kept", "cut", "not UTF-8", "other", "missing"]

_REPLACED = "\ufffd".encode()


def kept_diff(path: Path, digest: str) -> KeptDiff:
    """Compare a kept diff with the digest that its record has of the changes.

    A long diff is truncated, at one length, and ends with a line that has the digest of the whole.
    Older versions replaced bytes that are not UTF-8. Neither can be compared.

    Args:
        path: of the diff.
        digest: sha256 of the changes as they were.
    """
    if not path.is_file():
        return "missing"
    text = path.read_bytes()
    if hashlib.sha256(text).hexdigest() == digest:
        return "kept"
    end = re.search(rb"\n\[cut here: \d+ bytes in all, sha256 (\w+)\]\n\Z", text)
    if end is not None:
        # What was replaced had one to three bytes, of which the replacement made three.
        most, more = end.start(), 2 * text.count(_REPLACED)
        is_cut = end[1] == digest.encode() and most - more <= DIFF_CAP_BYTES <= most
        return "cut" if is_cut else "other"
    return "not UTF-8" if _REPLACED in text else "other"
