"""A deposit and Croissant metadata have what their readers ask for."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from tests.audit.conftest import RESULTS
from tests.toy import edit, folk

CITATION = """\
cff-version: 1.2.0
title: The code
license: CC-BY-4.0
repository-code: https://example.org/code
authors:
  - {family-names: Doe, given-names: Jo, orcid: "https://orcid.org/0000-0002-1825-0097"}
  - {name: The Lab}
references:
  - {type: article, title: A paper, authors: [{name: They}], doi: 10.1/2}
  - {type: article, title: Another, authors: [{name: They}],
     identifiers: [{type: other, value: "arXiv:2206.07706"}]}
"""
# Of the specification 1.0, section "Dataset-level information" and "FileObject".
OF_A_DATASET = {"@context", "@type", "conformsTo", "description", "license", "name", "url",
                "creator", "datePublished", "distribution"}  # fmt: skip
OF_A_FILE = {"@type", "@id", "name", "contentUrl", "contentSize", "encodingFormat", "sha256"}


@pytest.fixture(autouse=True)
def repository(toy: Any) -> None:
    Path("Snakefile").write_text("rule all:\n")
    Path("CITATION.cff").write_text(CITATION)


def export(*options: object) -> Any:
    return folk("export", "config/toy.yaml", *options)


def test_a_deposit_is_the_crate_with_the_metadata_that_zenodo_reads():
    folk("seal", "config/toy.yaml")
    done = export("--deposit", "out")

    assert done.returncode == 0, done.stderr
    metadata = json.loads(Path("out/.zenodo.json").read_text())
    seal = json.loads((RESULTS / "seal.json").read_text())
    assert metadata.pop("description").endswith(
        f"<p>Digest of the study&#x27;s seal: {seal['digest']}.</p>"
    )
    assert metadata == {
        "title": "Toy (toy): results and records", "upload_type": "dataset",
        "creators": [{"name": "Doe, Jo", "orcid": "0000-0002-1825-0097"}, {"name": "The Lab"}],
        "access_right": "open", "license": "CC-BY-4.0",
        "related_identifiers": [
            {"identifier": "https://example.org/code", "relation": "isCompiledBy"},
            {"identifier": "10.1/2", "relation": "references"},
            {"identifier": "arXiv:2206.07706", "relation": "references"},
        ],
    }  # fmt: skip
    graph = json.loads(Path("out/ro-crate-metadata.json").read_text())["@graph"]
    assert f"{RESULTS}/seal.json" in {entity["@id"] for entity in graph}
    assert (Path("out") / RESULTS / "seal.json").read_bytes() == (
        RESULTS / "seal.json"
    ).read_bytes()


def test_croissant_metadata_has_what_the_specification_asks_for_and_names_the_files_by_digest():
    data = RESULTS / "prepare/scenes"
    edit(data / "dataset.json",
         lambda d: d.update(name="Scenes", kind="scenes", counts={"train": 2}))  # fmt: skip

    done = export("--croissant", "out/deep", "--license", "scenes=MIT")

    assert done.stdout == "out/deep/scenes/croissant.json\n", done.stderr
    said = json.loads(Path("out/deep/scenes/croissant.json").read_text())
    assert said.keys() >= OF_A_DATASET
    assert (said["name"], said["license"], said["creator"][0]["name"]) == (
        "scenes", "MIT", "Doe, Jo"
    )  # fmt: skip
    files = {file["@id"]: file for file in said["distribution"]}
    assert files.keys() == {"dataset.json", "manifest.parquet"}
    manifest = files["manifest.parquet"]
    assert all(file.keys() == OF_A_FILE for file in files.values())
    content = Path("out/deep/scenes", manifest["contentUrl"]).read_bytes()
    assert manifest["sha256"] == hashlib.sha256(content).hexdigest()
    records = said["recordSet"]
    ids = {field["@id"] for field in records["field"]}
    assert records["key"]["@id"] in ids
    assert {f["source"]["fileObject"]["@id"] for f in records["field"]} <= files.keys()


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--croissant", "out"], "license of data set 'scenes' is unknown"),
        (["--croissant", "out", "--license", "scene=MIT"], "did you mean 'scenes'"),
        (["--croissant", "out", "--license", "MIT"], "expected DATA=LICENSE"),
        (["--deposit", "out", "--citation", "no.cff"], "no.cff"),
        (["--deposit", "out", "--crate", "out"], "give one of --crate FOLDER, --deposit FOLDER"),
    ],
)
def test_what_cannot_be_exported_is_one_line(options, line):
    done = export(*options)

    assert done.returncode == 2
    assert line in done.stderr
    assert not Path("out").exists()
