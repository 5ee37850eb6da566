"""Passwords and tokens stay out of whatever is kept or shown."""

import os
import re
from collections.abc import Mapping

HIDDEN = "***"
_OF_ADDRESS = re.compile(r"([A-Za-z][\w+.-]*://)[^\s/'\"]+@")
_NAMED_SO = re.compile(
    r"(^|_)(SECRET|TOKEN|PASSWORD|PASSWD|API_?KEY|ACCESS_KEY)(_|$)", re.IGNORECASE
)
_LENGTH = 8  # shorter values are words that stand everywhere


def without_secrets(text: str, variables: Mapping[str, str] | None = None) -> str:
    """The text without the user and password of addresses, and without secrets of the environment.

    Args:
        text: what is to be kept or shown.
        variables: the environment; that of this process when left out. A secret is the value of a
            variable whose name says so, such as HF_TOKEN or AWS_SECRET_ACCESS_KEY.
    """
    found = os.environ if variables is None else variables
    secrets = {value for name, value in found.items() if _NAMED_SO.search(name)}
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= _LENGTH:
            text = text.replace(secret, HIDDEN)
    return _OF_ADDRESS.sub(rf"\g<1>{HIDDEN}@", text)
