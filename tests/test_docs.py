"""What the documents say is so."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

import folk
from folk.slurm.site import Site
from tests.test_words import MARKDOWN
from tests.workflow.readers import READERS, needs_readers


def keys_of(model: Any) -> set[str]:
    """Every key of a file of this model, at any depth."""
    if not (isinstance(model, type) and issubclass(model, BaseModel)):
        return {key for part in getattr(model, "__args__", ()) for key in keys_of(part)}
    keys: set[str] = set()
    for name, field in model.model_fields.items():
        keys |= {field.alias or name} | keys_of(field.annotation)
    return keys


def test_every_key_of_a_site_is_explained():
    explained = set(re.findall(r"`([a-z_]+)`", Path("docs/cluster.md").read_text()))

    assert sorted(keys_of(Site) - explained) == []


@pytest.mark.parametrize("page", MARKDOWN, ids=str)
def test_every_link_of_a_page_leads_to_a_file_and_a_heading(page):
    for place in re.findall(r"\]\(([^):]+)\)", page.read_text(encoding="utf-8")):
        name, _, anchor = place.partition("#")
        target = page.parent / name if name else page
        assert target.exists(), place
        assert not anchor or anchor in anchors_of(target), place


def anchors_of(page: Path) -> set[str]:
    """The anchors that GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_citation_names_this_version_and_the_papers_as_papers_yaml_does():
    cited = yaml.safe_load(Path("CITATION.cff").read_text())
    papers = yaml.safe_load(Path("config/published/papers.yaml").read_text())["papers"]

    assert cited["version"] == folk.__version__
    assert json.loads(Path("codemeta.json").read_text())["version"] == folk.__version__
    assert {"cff-version", "message", "title", "authors"} <= cited.keys()
    for name, paper in zip(("folk", "mfm"), cited["references"], strict=True):
        known = papers[name]
        authors = [f"{who['given-names']} {who['family-names']}" for who in paper["authors"]]
        assert (paper["title"], paper["collection-title"]) == (known["title"], known["venue"])
        assert ", ".join(authors) == known["authors"]
        assert paper["identifiers"][0]["value"] == f"arXiv:{known['arxiv']}"


@needs_readers
@pytest.mark.slow
def test_cffconvert_accepts_the_citation():
    command = [READERS / "cffconvert", "--validate", "--infile", "CITATION.cff"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
