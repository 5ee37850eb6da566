"""Templates that refuse what is missing, what is not yet a string, and what breaks the format."""

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
    """`text` with everything that LaTeX would obey made visible; one line."""
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))


def markdown(text: str) -> str:
    """`text` as it stands in a cell of a Markdown table; one line."""
    return " ".join(text.split()).translate(_MARKDOWN)


def html_templates() -> Environment:
    """Templates whose every expression is HTML-escaped."""
    return _environment(_finished, autoescape=True)


def markdown_templates() -> Environment:
    """Templates whose every expression is escaped for Markdown."""
    return _environment(lambda value: markdown(str(_finished(value))), autoescape=False)


def latex_templates() -> Environment:
    """Templates with `<< >>` and `<% %>`, because braces are LaTeX's own; all escaped."""
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
    # A float here would be a number that a template rounds; numbers arrive as printed strings.
    if not isinstance(value, str | int | Markup | StrictUndefined) or isinstance(value, bool):
        raise TypeError(f"a template may print strings and whole numbers, not {value!r}")
    return value
