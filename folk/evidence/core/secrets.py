"""Removal of passwords and tokens from stored and shown text."""

import os
import re
from collections.abc import Mapping

HIDDEN = "***"
_OF_ADDRESS = re.compile(r"([A-Za-z][\w+.-]*://)[^\s/'\"]+@")
_NAMED_SO = re.compile(
    r"(^|_)(SECRET|TOKEN|PASSWORD|PASSWD|API_?KEY|ACCESS_KEY)(_|$)", re.IGNORECASE
)
_LENGTH = 8  # shorter values are common words


def without_secrets(text: str, variables: Mapping[str, str] | None = None) -> str:
    """Remove users and passwords of addresses, and secrets of the environment, from a text.

    Args:
        variables: the environment; None takes that of this process. A secret is the value of a
            variable with a name such as HF_TOKEN or AWS_SECRET_ACCESS_KEY.
    """
    found = os.environ if variables is None else variables
    secrets = {value for name, value in found.items() if _NAMED_SO.search(name)}
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _LENGTH:
            text = text.replace(secret, HIDDEN)
    return _OF_ADDRESS.sub(rf"\g<1>{HIDDEN}@", text)
