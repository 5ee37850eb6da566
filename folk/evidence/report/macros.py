r"""A study's numbers as LaTeX macros: `\folk{table/row/column}` prints one in a paper."""

from collections.abc import Iterable

from folk.evidence.results.cells import Cell

HEAD = r"""% The numbers of a study. In the preamble of a paper: \input{numbers}; in its text:
% \folk{few/folk/avg}. With the numbers of several studies: \folk{demo/few/folk/avg}; a cell without
% a study is of the one that is read first, or of \renewcommand\folkstudy{demo}.
\ifdefined\folkstudy\else
  \newcommand\folkstudy{STUDY}
  \newcommand\folk[1]{%
    \ifcsname folk/#1\endcsname\csname folk/#1\endcsname
    \else\ifcsname folk/\folkstudy/#1\endcsname\csname folk/\folkstudy/#1\endcsname
    \else\folkunknown{#1}\fi\fi}
  \newcommand\folkcell[2]{\expandafter\def\csname folk/#1\endcsname{#2}}
  \DeclareRobustCommand\folkunknown[1]{%
    \PackageError{folk}{No number for the cell '#1'}{`python -m folk check' suggests the nearest.}%
    \textbf{??}}
\fi
"""
_SIGNS = {"±": r"\ensuremath{\pm}", "-": r"\ensuremath{-}", " ": "~"}


def render_macros(study: str, cells: Iterable[Cell]) -> str:
    """Render a line for each number of ours, and a comment for each that is missing.

    The comment behind a number names its cell, so that `check` compares a copy of this file as it
    does a number typed by hand.
    """
    lines = [_line(f"{study}/{cell.id}", cell) for cell in cells if not cell.quoted]
    return "".join([HEAD.replace("STUDY", study), *lines])


def _line(name: str, cell: Cell) -> str:
    if cell.value is None:
        return f"% {name}: no number; {' '.join(cell.note.split())}\n"
    number = "".join(_SIGNS.get(sign, sign) for sign in cell.printed)
    return rf"\folkcell{{{name}}}{{{number}}}% folk: {name}" + "\n"
