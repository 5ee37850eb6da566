"""The docs and the package use the field's words, in American spelling."""

import ast
import re
from pathlib import Path

import pytest
import typer

from folk.cli.app import app

# `docs/faults.md` is made from the tests, see tests/faults/table.py.
MARKDOWN = [
    *sorted(Path().glob("*.md")),
    *(Path("config/README.md"), Path("config/keys.md")),
    *(path for path in sorted(Path("docs").glob("*.md")) if path.name != "faults.md"),
]
CODE = sorted(path for path in Path("folk").rglob("*.py"))
BRITISH = r"""
    colou?rise[ds]? | colour\w* | greys? | greyscale | centre[ds]? | centring | \w*normalis\w+
    | neighbour\w* | behaviour\w* | labelled | labelling | optimis(?![mt])\w+ | initialis\w+
    | parametris\w+ | regularis\w+ | solaris\w+ | licence[ds]?
"""
PRIVATE = r"""
    pictures? | coins? | whoever | lonely | aside | spoil\w* | stands?\s+t?here | speaks?\s+of
    | (?:is|are)\s+refused
"""
TICS = r"""said | told | beside | stands"""
# Docstrings open with a noun phrase or an imperative.
QUESTIONS = "What|How|Whether|Which|Where|When|Who|Why"
QUOTED = re.compile(r"^```.*?^```$|`[^`]*`|\]\([^)]*\)", re.MULTILINE | re.DOTALL)


def hits(text: str, words: str) -> list[str]:
    """The words in a text, whole words alone."""
    return re.findall(rf"\b(?:{words})\b", text, re.VERBOSE | re.IGNORECASE)


def first_lines(path: Path) -> list[str]:
    """The first line of each docstring of a file."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef)
    nodes = [node for node in ast.walk(ast.parse(path.read_bytes())) if isinstance(node, kinds)]
    return [text.partition("\n")[0] for text in map(ast.get_docstring, nodes) if text]


@pytest.mark.parametrize("path", MARKDOWN, ids=str)
def test_a_page_uses_the_words_of_the_glossary(path):
    prose = QUOTED.sub(" ", path.read_text(encoding="utf-8"))

    assert hits(prose, PRIVATE) == []
    assert hits(prose, BRITISH) == []
    assert hits(prose, TICS) == []


@pytest.mark.parametrize("words", [PRIVATE, TICS], ids=["private", "tics"])
def test_the_package_uses_the_words_of_the_glossary(words):
    found = {str(path): hits(path.read_text(encoding="utf-8"), words) for path in CODE}

    assert {path: words for path, words in found.items() if words} == {}


def test_no_docstring_opens_with_a_question():
    opened = {f"{path}: {line}" for path in CODE for line in first_lines(path)}

    assert len(opened) > 1000
    assert [line for line in sorted(opened) if re.search(rf": (?:{QUESTIONS})\b", line)] == []


def test_the_package_spells_american():
    found = {str(path): hits(path.read_text(encoding="utf-8"), BRITISH) for path in CODE}

    assert {path: words for path, words in found.items() if words} == {}


@pytest.mark.parametrize(
    ("text", "words"),
    [("a lonely picture", ["lonely", "picture"]), ("they coincide", [])],
)
def test_only_whole_words_count(text, words):
    assert hits(text, PRIVATE) == words


def test_an_optimist_is_no_british_spelling():
    text = "optimism, an optimistic optimiser, optimised"

    assert hits(text, BRITISH) == ["optimiser", "optimised"]


def test_the_list_of_commands_fits_a_terminal_of_80_columns():
    commands = typer.main.get_command(app).commands.values()

    # What is longer ends in "...".
    assert [c.name for c in commands if len(c.get_short_help_str(limit=1000)) > 60] == []
