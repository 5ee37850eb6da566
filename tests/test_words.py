"""The docs and the package use the field's words, in American spelling."""

import re
from pathlib import Path

import pytest

# `docs/faults.md` is made from the tests, see tests/faults/table.py.
MARKDOWN = [
    *map(Path, ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "config/README.md")),
    *(path for path in sorted(Path("docs").glob("*.md")) if path.name != "faults.md"),
]
CODE = sorted(path for path in Path("folk").rglob("*.py"))
BRITISH = r"""
    colou?rise[ds]? | colour\w* | greys? | greyscale | centre[ds]? | centring | \w*normalis\w+
    | neighbour\w* | behaviour\w* | labelled | labelling | optimis(?![mt])\w+ | initialis\w+
    | parametris\w+ | regularis\w+ | solaris\w+ | licence[ds]?
"""
PRIVATE = r"""
    pictures? | coins? | whoever | lonely | aside | stands?\s+t?here | speaks?\s+of
    | (?:is|are)\s+(?:refused|told)
"""
QUOTED = re.compile(r"^```.*?^```$|`[^`]*`|\]\([^)]*\)", re.MULTILINE | re.DOTALL)


def hits(text: str, words: str) -> list[str]:
    """The words in a text, whole words alone."""
    return re.findall(rf"\b(?:{words})\b", text, re.VERBOSE | re.IGNORECASE)


@pytest.mark.parametrize("path", MARKDOWN, ids=str)
def test_a_page_uses_the_words_of_the_glossary(path):
    prose = QUOTED.sub(" ", path.read_text(encoding="utf-8"))

    assert hits(prose, PRIVATE) == []
    assert hits(prose, BRITISH) == []


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
