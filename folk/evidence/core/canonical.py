"""Canonical JSON and digests of JSON values."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def canonical_json(value: Any) -> bytes:
    """Encode a JSON value canonically: sorted keys, no spaces, UTF-8; NaN is an error."""
    text = json.dumps(
        value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
    )
    return text.encode("utf-8")


def sha256_of_json(value: Any) -> str:
    """Hash a JSON value independently of key order and white space."""
    return hashlib.sha256(canonical_json(value)).hexdigest()


def chain_digest(records: Mapping[str, str], failed: Mapping[str, str]) -> str:
    """Hash all records of a study: sha256 of the canonical JSON of both.

    Args:
        records: path -> id of the record of each finished job, paths from the repository's folder.
        failed: the same for each job that failed or was interrupted.
    """
    return sha256_of_json({"records": dict(records), "failed": dict(failed)})
