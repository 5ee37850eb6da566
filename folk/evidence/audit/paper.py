r"""Check of a paper's LaTeX source against the cells of studies.

Two things count: `\folk{CELL}`, which must name a number; and a comment `% folk: CELL CELL` at the
end of a line, whose cells are those of the last numbers typed before it, in the same order.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from folk.evidence.core.errors import nearest
from folk.evidence.core.yaml_model import text_of
from folk.evidence.results.cells import Cell

_LINE = re.compile(r"((?:[^\\%]|\\.)*)(?:%(.*))?")  # what is typeset, and the comment
_MACRO = re.compile(r"\\folk\{([^}]*)\}")
_COMMENT = re.compile(r"\s*folk:\s*(.*)")
_MINUS = re.compile(r"\\ensuremath\{-\}|\$-\$")
_SIGNS = re.compile(r"\\ensuremath|\\[,;:! ]|[${}~]")  # around and inside a number
_NUMBER = re.compile(r"(?<![\w.])(?:(?<!-)-)?\d+(?:\.\d+)?(?:\s*±\s*\d+(?:\.\d+)?)?")


@dataclass(frozen=True)
class PaperCheck:
    """Numbers of a paper's source, compared with cells.

    Attributes:
        problems: a line for each, with file and line.
        macros: count of cells printed by a macro.
        typed: count of numbers typed by hand with a comment that names their cell.
    """

    problems: list[str]
    macros: int
    typed: int


def check_paper(path: Path, cells: Mapping[str, Cell]) -> PaperCheck:
    r"""Compare a paper's source with cells.

    Args:
        path: a LaTeX file; files that it reads with `\input` are not followed.
        cells: by name, `table/row/column`, and also `study/table/row/column`.

    Raises:
        InputError: the file is missing or unreadable.
    """
    problems, macros, typed = [], 0, 0
    for number, line in enumerate(text_of(path).splitlines(), start=1):
        match = _LINE.match(line)
        assert match is not None
        text, comment = match[1], _COMMENT.fullmatch(match[2] or "")
        printed = _MACRO.findall(text)
        named = comment[1].replace(",", " ").split() if comment else []
        macros, typed = macros + len(printed), typed + len(named)
        found = [problem for name in printed if (problem := _not_a_number(name, cells))]
        found += _of_comment(text, named, cells)
        problems += [f"{path}:{number}: {problem}" for problem in found]
    return PaperCheck(problems, macros, typed)


def _of_comment(text: str, names: list[str], cells: Mapping[str, Cell]) -> Iterator[str]:
    """Yield a line for each named cell that the numbers at the end of a text do not print."""
    plain = _MINUS.sub("-", _MACRO.sub("", text)).replace(r"\pm", " ± ")
    plain = _SIGNS.sub(" ", plain)
    numbers = [" ".join(number.split()) for number in _NUMBER.findall(plain)]
    if len(numbers) < len(names):
        yield f"expected a number before the comment for each of its cells, got {len(numbers)}"
        return
    for name, number in zip(names, numbers[len(numbers) - len(names) :], strict=True):
        if problem := _not_a_number(name, cells):
            yield problem
        elif number not in (cells[name].printed, cells[name].printed_mean):
            yield f"{name}: expected {cells[name].printed}, got {number}"


def _not_a_number(name: str, cells: Mapping[str, Cell]) -> str | None:
    """Return why a name has no number of a study; None if it has one."""
    if name not in cells:
        short = [known for known in cells if known.count("/") == name.count("/")]
        return f"unknown cell '{name}'{nearest(name, short or cells)}"
    if cells[name].quoted:
        return f"{name}: a quoted number, none of this study"
    if cells[name].value is None:
        return f"{name}: no number; {cells[name].note}"
    return None
