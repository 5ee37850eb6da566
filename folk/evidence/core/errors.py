"""The one way this project says that its user, not its code, has something to mend."""

import difflib
import errno
import sys
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


def of_the_machine(error: Exception) -> str | None:
    """What to tell of an error that is neither the input's nor the code's; None of any other.

    Of too little memory, of a disk that is full or broken or that may not be written, and of a
    package that an environment without torch lacks. Where the file is known,
    `folk.evidence.core.files` has named it before.
    """
    if isinstance(error, ModuleNotFoundError):
        return f"{sys.executable} has no {error.name}; call it from the environment of `make setup`"
    if isinstance(error, OSError):
        if error.errno == errno.ENOMEM:
            return _no_memory(str(error.strerror))
        if error.errno not in _OF_DISKS:
            return None
        where = f"{error.filename}: " if error.filename else "a file: "
        return f"{where}{error.strerror}; see to the disk, then start again"
    # torch names its errors, or tells by text; here nobody imports it to ask.
    said = str(error).strip().partition("\n")[0]
    is_memory = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    if is_memory or "can't allocate memory" in said:
        return _no_memory(said or type(error).__name__)
    return None


_OF_DISKS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EACCES}


def _no_memory(said: str) -> str:
    return (
        f"not enough memory ({said[:300]}); let the job have more, or ask for less at once, such "
        "as by runtime.max_batch or runtime.workers of the recipe, then start again"
    )
