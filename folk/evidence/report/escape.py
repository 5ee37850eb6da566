"""Templates with escaping, which reject undefined values and unformatted numbers."""

from collections.abc import Callable
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

_LATEX = {
    "\\": r"\textbackslash{}",
    "&": r"\&",
    "%": r"\%",
    "$": r"\$",
    "#": r"\#",
    "_": r"\_",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "[": "{[}",  # after \\ or \item it would open an argument
    "]": "{]}",
    "*": "{*}",
    "±": r"$\pm$",
    "−": "$-$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "µ": r"$\mu$",
    "→": r"$\rightarrow$",
    "†": r"\dag{}",
    "‡": r"\ddag{}",
    "§": r"\S{}",
    "¶": r"\P{}",
    "—": "---",
    "×": r"$\times$",
}
_MARKDOWN = str.maketrans({character: f"\\{character}" for character in "\\|`*_[]~"}) | {
    ord("<"): "&lt;",
    ord(">"): "&gt;",
    ord("&"): "&amp;",
}


def latex(text: str) -> str:
    """Escape `text` for LaTeX, as one line."""
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))


def markdown(text: str) -> str:
    """Escape `text` for a cell of a Markdown table, as one line."""
    return " ".join(text.split()).translate(_MARKDOWN)


def html_templates() -> Environment:
    """Make templates that escape every expression for HTML."""
    return _environment(_finished, autoescape=True)


def markdown_templates() -> Environment:
    """Make templates that escape every expression for Markdown."""
    return _environment(lambda value: markdown(str(_finished(value))), autoescape=False)


def latex_templates() -> Environment:
    """Make templates for LaTeX, with `<< >>` and `<% %>` instead of braces; all escaped."""
    return _environment(
        lambda value: latex(str(_finished(value))),
        autoescape=False,
        variable_start_string="<<",
        variable_end_string=">>",
        block_start_string="<%",
        block_end_string="%>",
        comment_start_string="<#",
        comment_end_string="#>",
    )


def _environment(finalize: Callable[[Any], Any], **options: Any) -> Environment:
    return Environment(
        loader=PackageLoader("folk.evidence.report"),
        undefined=StrictUndefined,
        finalize=finalize,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        **options,
    )


def _finished(value: Any) -> Any:
    # Templates must not round numbers, so floats arrive as printed strings.
    if not isinstance(value, str | int | Markup | StrictUndefined) or isinstance(value, bool):
        raise TypeError(f"a template may print strings and whole numbers, not {value!r}")
    return value
