"""What the documents say is so."""

import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from folk.cluster.site import Site
from folk.recipes import RECIPES
from folk.study import Study


def keys_of(model: Any) -> set[str]:
    """Every key that may stand in a file of this model, at any depth."""
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return {key for part in getattr(model, "__args__", ()) for key in keys_of(part)}
    keys: set[str] = set()
    for name, field in model.model_fields.items():
        keys |= {field.alias or name} | keys_of(field.annotation)
    return keys


def test_every_key_is_explained():
    explained = set(re.findall(r"[a-z0-9_]+", Path("config/README.md").read_text()))
    keys = {key for model in (Study, *RECIPES.values()) for key in keys_of(model)}

    assert sorted(keys - explained) == []


def test_every_key_of_a_site_is_explained():
    explained = set(re.findall(r"`([a-z_]+)`", Path("docs/cluster.md").read_text()))

    assert sorted(keys_of(Site) - explained) == []


def test_files_that_the_readme_names_exist():
    text = Path("README.md").read_text()
    paths = set(re.findall(r"\]\(([\w./-]+)\)", text))

    assert len(paths) > 6
    assert [path for path in sorted(paths) if not Path(path).exists()] == []
