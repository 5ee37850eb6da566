"""Errors that the user can fix."""

import difflib
import errno
import sys
from collections.abc import Iterable

MOST_NAMES = 20  # listed in one line


class InputError(ValueError):
    """Invalid input, as one line: what is wrong, where, and the fix.

    The command line prints it without a traceback and exits with status 2. What it quotes may hold
    anything; letters that a line cannot show become escapes.
    """

    def __init__(self, message: str) -> None:
        super().__init__(printable(message))


def printable(text: str) -> str:
    """Escape the letters of a text that have no print, but for the ends of its lines."""
    return "".join(
        letter if letter.isprintable() or letter == "\n" else ascii(letter)[1:-1] for letter in text
    )


def brief(error: BaseException) -> str:
    """Shorten another library's error to one line; its type if it has no text."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def brief_with_type(error: BaseException) -> str:
    """`brief` after the name of the error's class, for texts that mean little without it."""
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:200]


def nearest(word: str, known: Iterable[str]) -> str:
    """Suggest a known name, as the end of an error line.

    Returns:
        `; did you mean 'x'?` when one is close, else the list of known names, or its beginning.
    """
    names = sorted(known)
    close = difflib.get_close_matches(word, names, n=1)
    if close:
        return f"; did you mean '{close[0]}'?"
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return f"; known: {', '.join(names[:MOST_NAMES])}{more}" if names else ""


def describe_os_error(error: Exception) -> str | None:
    """Describe an error of memory or disk, or return None for any other error.

    Covers too little memory, a small /dev/shm, a disk that is full, broken or read-only, and a
    package that an environment without torch lacks. If the file is known,
    `folk.evidence.core.files` has named it before.
    """
    if isinstance(error, ModuleNotFoundError):
        return f"{sys.executable} has no {error.name}; call it from the environment of `make setup`"
    if isinstance(error, OSError):
        if error.errno == errno.ENOMEM:
            return _no_memory(str(error.strerror))
        if error.errno not in _OF_DISKS:
            return None
        where = f"{printable(str(error.filename))}: " if error.filename else "a file: "
        return f"{where}{error.strerror}; check the disk, then start again"
    # torch's errors are recognized by name or text, to avoid importing it.
    message = str(error).strip().partition("\n")[0]
    is_memory = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    shared = [line.strip() for line in str(error).splitlines() if "shared memory" in line]
    if isinstance(error, RuntimeError) and shared:
        return (
            f"/dev/shm is full ({shared[-1][:200]}); give the container more (--shm-size), or "
            "lower runtime.workers of the recipe, then start again"
        )
    if is_memory or "can't allocate memory" in message:
        return _no_memory(message or type(error).__name__)
    return None


_OF_DISKS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO, errno.EACCES}


def _no_memory(message: str) -> str:
    return (
        f"not enough memory ({message[:300]}); give the job more, or lower runtime.max_batch or "
        "runtime.workers of the recipe, then start again"
    )
