"""YAML 1.2's words mean what its core schema says, and every key knows its line."""

from pathlib import Path

import pytest
import yaml
from ruamel.yaml import YAML

from folk.evidence.core.yaml_loader import parsed

ROOT = Path(__file__).parents[1]
CONFIG = sorted((ROOT / "config").rglob("*.yaml"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2e-4", 2e-4), ("1.", 1.0), (".5", 0.5), ("-3", -3), ("010", 10), ("0o17", 15),
        ("0x1f", 31), ("1_000", 1000), ("true", True), ("False", False),
        ("~", None), ("", None), ("no", "no"), ("on", "on"), ("1:30", "1:30"), ("e5", "e5"),
        ("2024-01-01", "2024-01-01"), ("'1'", "1"), ('"true"', "true"), ("!!str 1", "1"),
        ("|\n  a\n  b\n", "a\nb\n"),
    ],
)  # fmt: skip
def test_a_word_means_what_yaml_1_2_says(text, value):
    found, _ = parsed(text)

    assert found == value
    assert type(found) is type(value)


def test_lines_are_those_of_keys_and_items():
    _, lines = parsed("a:\n  b: 1\n  c:\n    - x\n    - y: 2\n")

    assert lines == {
        ("a",): 1, ("a", "b"): 2, ("a", "c"): 3, ("a", "c", 0): 4, ("a", "c", 1): 5,
        ("a", "c", 1, "y"): 5,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: 1\na: 2\n", "duplicate key 'a'.*line 2"),
        ("a: &x\n  - *x\n", "aliases are not supported.*line 1"),
        ("a: &x {b: 1}\nc: *x\n", "aliases are not supported"),
        ("? [1]\n: 2\n", "a key must be a word"),
        ("a: !!python/name:os.system x\n", "unknown type"),
        ("a: !!set {b}\n", "unknown type"),
        ("a: !!int x\n", "invalid literal"),
        (f"a: {'9' * 5000}\n", "5000 digits.*line 1"),
        (f"a: {'[' * 61}{']' * 61}\n", "more than 60 levels"),
        ("a\n---\nb\n", "single document"),
        ("a: [", "expected"),
    ],
)
def test_what_is_not_plain_yaml_is_refused_with_its_place(text, problem):
    with pytest.raises(yaml.YAMLError) as caught:
        parsed(text)

    assert caught.match(problem.replace(".*", r"[\s\S]*"))


@pytest.mark.parametrize("path", CONFIG, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_file_reads_as_an_independent_reader_reads_it(path):
    text = path.read_text(encoding="utf-8")

    assert parsed(text)[0] == YAML(typ="safe", pure=True).load(text)
