"""The one way this project says that its user, not its code, has something to mend."""

import difflib
from collections.abc import Iterable

MOST_NAMES = 20  # that a line lists


class InputError(ValueError):
    """Wrong input: one line that says what is wrong, where, and what to do.

    The command line prints it without a traceback and exits with status 2.
    """


def brief(error: BaseException) -> str:
    """What another's error says, in one line and not at length; its kind where it says nothing."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def nearest(word: str, known: Iterable[str]) -> str:
    """Say which known name was probably meant, as the end of an error line.

    Args:
        word: the name that was not found.
        known: the names that exist.

    Returns:
        `; did you mean 'x'?` when one is close, else the list of known names, or its beginning.
    """
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"; known: {', '.join(names[:MOST_NAMES])}{more}" if names else ""
