"""The Croissant metadata of a study's data sets, as mlcroissant reads it."""

import json
import subprocess

import pyarrow.parquet as pq
import pytest

from tests.workflow.conftest import ROOT
from tests.workflow.readers import READERS, needs_readers

pytestmark = [pytest.mark.slow, needs_readers]

# Text comes as bytes, and a column's name with that of the record set.
READ = """
import json, sys
import mlcroissant

dataset = mlcroissant.Dataset(jsonld=sys.argv[1])
rows = [
    {
        name.removeprefix("images/"): value.decode() if isinstance(value, bytes) else int(value)
        for name, value in row.items()
    }
    for row in dataset.records("images")
]
files = {file.id: file.sha256 for file in dataset.metadata.distribution}
print(json.dumps({"name": dataset.metadata.name, "files": files, "rows": rows}))
"""


def read(path):
    """Give a metadata file to mlcroissant."""
    command = [READERS / "python", "-c", READ, path]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def metadata(finished_study, tmp_path_factory):
    out = tmp_path_factory.mktemp("croissant") / "described"
    cited = ["--license", "scenes=MIT", "--citation", str(ROOT / "CITATION.cff")]
    done = finished_study.run(
        "-m", "folk", "export", "config/tiny.yaml", "--croissant", out, *cited
    )
    assert done.returncode == 0, done.stderr
    return out / "scenes/croissant.json"


def test_mlcroissant_reads_the_row_of_every_image(finished_study, metadata):
    done = read(metadata)

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    data = finished_study.folder / "results/tiny/prepare/scenes"
    assert found["name"] == "scenes"
    assert found["rows"] == pq.read_table(data / "manifest.parquet").to_pylist()
    record = json.loads((data / "record.json").read_text())
    digests = {entry["path"].rpartition("/")[2]: entry["sha256"] for entry in record["outputs"]}
    assert "train-00000.arrow" in found["files"]
    assert found["files"].items() <= digests.items()


def test_mlcroissant_rejects_a_manifest_with_another_digest(metadata):
    wrong = json.loads(metadata.read_text())
    (manifest,) = (f for f in wrong["distribution"] if f["@id"] == "manifest.parquet")
    manifest["sha256"] = "0" * 64
    path = metadata.with_name("wrong.json")
    path.write_text(json.dumps(wrong))

    done = read(path)

    assert done.returncode != 0
    assert "Download(manifest.parquet)" in done.stderr
