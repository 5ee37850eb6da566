"""Files are refused with their name, line, key and the nearest valid name."""

from pathlib import Path

import pytest
from pydantic import Field

from folk.evidence.core.errors import InputError
from folk.evidence.core.yaml_model import (
    Document,
    Section,
    checked,
    flattened,
    merged,
    nested,
    parse_value,
)


class Optim(Section):
    lr: float
    epochs: int = 3


class Settings(Section):
    optim: Optim
    words: list[str] = Field(default_factory=list)


def read(tmp_path: Path, text: str) -> Settings:
    path = tmp_path / "settings.yaml"
    path.write_text(text)
    document = Document(path)
    return checked(Settings, document.values, document)


def test_an_unknown_key_is_refused_with_line_and_nearest_name(tmp_path):
    with pytest.raises(InputError, match=r"settings\.yaml:3: optim\.epoch: unknown key.*'epochs'"):
        read(tmp_path, "optim:\n  lr: 0.1\n  epoch: 5\n")


def test_a_wrong_type_is_refused_with_what_was_found(tmp_path):
    with pytest.raises(InputError, match=r":1: optim\.epochs: .*integer.*'many'"):
        read(tmp_path, "optim: {lr: 0.1, epochs: many}\n")


def test_all_problems_are_told_at_once(tmp_path):
    with pytest.raises(InputError) as caught:
        read(tmp_path, "optim: {epochs: x}\nwords: [1]\nmore: 1\n")

    assert len(str(caught.value).splitlines()) == 4


def test_sections_of_another_kind_replace_each_other():
    below = {"filter": {"kind": "radial", "radius": 16}}
    above = {"filter": {"kind": "com-rcom", "p_com": 0.5}}

    assert merged(below, above) == above
    assert merged(below, {"filter": {"radius": 8}})["filter"]["kind"] == "radial"


def test_dotted_keys_and_nested_mappings_are_the_same_thing():
    dotted = {"optim.lr": 0.1, "optim.epochs": 2, "a": []}

    assert flattened(nested(dotted)) == dotted
    assert parse_value("[1, 2.0, x]") == [1, 2.0, "x"]


def test_what_one_reader_changes_the_next_does_not_see(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("a: {b: [1]}\n")

    Document(path).values["a"]["b"].append(2)

    assert Document(path).values == {"a": {"b": [1]}}
