r"""Check of a paper's LaTeX source against the cells of studies.

Three things count: `\folk{CELL}`, which must name a number; `\folkcell{CELL}{NUMBER}`, which must
be that number; and a comment `% folk: CELL CELL` at the end of a line, whose cells are those of the
last numbers typed before it, in the same order.
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
_DEFINED = re.compile(r"\\folkcell\{([^}]*)\}\{((?:[^{}]|\{[^{}]*\})*)\}")
# Without an argument behind it, as where it is defined, or gets another name.
_BARE = re.compile(r"\\folk(?:cell|unknown)?(?![A-Za-z@{])|\\csname\s*folk/")
# "% Folk: CELL" is meant for us, "% FOLK: to be written" is not.
_COMMENT = re.compile(r"[%\s]*(?:folk:|(?i:folk)\s*:(?=\s*[^\s/]+/\S))\s*(.*)")
_MINUS = re.compile(r"\\ensuremath\{-\}|\$-\$")
_SIGNS = re.compile(r"\\ensuremath|\\[,;:! ]|[${}~]")  # around and inside a number
_NUMBER = re.compile(r"(?<![\w.])(?:(?<!-)-)?\d+(?:\.\d+)?(?:\s*±\s*\d+(?:\.\d+)?)?")


@dataclass(frozen=True)
class PaperCheck:
    r"""Numbers of a paper's source, compared with cells.

    Attributes:
        problems: a line for each, with file and line.
        macros: count of cells printed by a macro.
        typed: count of numbers whose cell is named by a comment or by `\folkcell`.
    """

    problems: list[str]
    macros: int
    typed: int


def check_paper(path: Path, cells: Mapping[str, Cell], head: str) -> PaperCheck:
    r"""Compare a paper's source with cells.

    Args:
        path: a LaTeX file; files that it reads with `\input` are not followed.
        cells: by name, `table/row/column`, and also `study/table/row/column`.
        head: the definitions at the beginning of numbers.tex, of a study named STUDY.

    Raises:
        InputError: the file is missing or unreadable.
    """
    problems, macros, typed = [], 0, 0
    lines_of: dict[str, int] = {}  # where a cell was defined first
    for number, line in enumerate(_without(head, text_of(path)).splitlines(), start=1):
        match = _LINE.match(line)
        assert match is not None
        text, comment = match[1], _COMMENT.fullmatch(match[2] or "")
        printed, defined = _MACRO.findall(text), _DEFINED.findall(text)
        named = comment[1].replace(",", " ").split() if comment else []
        macros, typed = macros + len(printed), typed + len({*named, *dict(defined)})
        found = [problem for name in printed if (problem := _not_a_number(name, cells))]
        found += _of_definitions(text, defined, cells)
        for name, _ in defined:
            if name in lines_of:
                found.append(f"{name}: defined a second time, first in line {lines_of[name]}")
            lines_of.setdefault(name, number)
        found += _of_comment(text, named, cells)
        problems += [f"{path}:{number}: {problem}" for problem in dict.fromkeys(found)]
    return PaperCheck(problems, macros, typed)


def _without(head: str, text: str) -> str:
    """Replace the head of numbers.tex by empty lines."""
    pattern = re.escape(head).replace("STUDY", "[^}]*")
    return re.sub(pattern, lambda match: "\n" * match[0].count("\n"), text)


def _of_definitions(
    text: str, defined: list[tuple[str, str]], cells: Mapping[str, Cell]
) -> Iterator[str]:
    """Yield a line for each defined cell with another number, and for any other definition."""
    if match := _BARE.search(text):
        yield f"{match[0]}: without a cell behind it; only numbers.tex may define it"
    if len(defined) < text.count(r"\folkcell{"):
        yield r"\folkcell: expected a cell and its number in one line"
    for name, number in defined:
        if problem := _not_a_number(name, cells):
            yield problem
        elif _plain(number) not in (cells[name].printed, cells[name].printed_mean):
            yield f"{name}: expected {cells[name].printed}, got {_plain(number)}"


def _of_comment(text: str, names: list[str], cells: Mapping[str, Cell]) -> Iterator[str]:
    """Yield a line for each named cell that the numbers at the end of a text do not print."""
    numbers = [" ".join(n.split()) for n in _NUMBER.findall(_plain(_MACRO.sub("", text)))]
    if len(numbers) < len(names):
        yield f"expected a number before the comment for each of its cells, got {len(numbers)}"
        return
    for name, number in zip(names, numbers[len(numbers) - len(names) :], strict=True):
        if problem := _not_a_number(name, cells):
            yield problem
        elif number not in (cells[name].printed, cells[name].printed_mean):
            yield f"{name}: expected {cells[name].printed}, got {number}"


def _plain(text: str) -> str:
    return " ".join(_SIGNS.sub(" ", _MINUS.sub("-", text).replace(r"\pm", " ± ")).split())


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
