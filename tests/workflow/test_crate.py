"""A study as a Provenance Run Crate: what others' programs say of it."""

import hashlib
import json
import re
import subprocess
from pathlib import Path

import pytest

from tests.workflow.readers import READERS, needs_readers

pytestmark = pytest.mark.slow

SECRET = "hunter2-hunter2"


@pytest.fixture(scope="module")
def crate(finished_study, tmp_path_factory):
    out = tmp_path_factory.mktemp("crate") / "crate"
    command = ["-m", "folk", "export", "config/tiny.yaml", "--crate", str(out)]
    done = finished_study.run(*command, API_TOKEN=SECRET)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope="module")
def graph(crate):
    written = json.loads((crate / "ro-crate-metadata.json").read_text())
    return {entity["@id"]: entity for entity in written["@graph"]}


def kinds(entity):
    kind = entity["@type"]
    return kind if isinstance(kind, list) else [kind]


def test_every_file_has_size_type_and_the_digest_of_its_bytes(crate, graph):
    stored = [e for e in graph.values() if "File" in kinds(e)]

    assert len(stored) > 50
    for entity in stored:
        path = crate / entity["@id"]
        assert entity["encodingFormat"], entity["@id"]
        assert int(entity["contentSize"]) == path.stat().st_size
        assert entity["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_every_job_is_an_action_with_what_it_read_and_made(finished_study, graph):
    records = finished_study.folder.glob("results/tiny/*/**/record.json")
    records = [json.loads(p.read_text()) for p in records if "work" not in p.parts]

    for record in records:
        action = graph[f"#{record['id'][:16]}"]
        assert kinds(action) == ["CreateAction"]
        assert (action["startTime"], action["endTime"]) == (record["started"], record["ended"])
        made = action["result"] if isinstance(action["result"], list) else [action["result"]]
        paths = {output["path"] for output in record["outputs"]}
        assert {each["@id"] for each in made} == paths


def test_neither_secrets_nor_places_of_a_machine_are_told(finished_study, crate):
    text = (crate / "ro-crate-metadata.json").read_text()

    assert SECRET not in text
    assert str(finished_study.folder) not in text
    assert not re.search(r'"@id": "/', text)


def test_a_file_that_is_not_what_its_record_says_is_refused(finished_copy):
    path = finished_copy.folder / "results/tiny/finetune/folk-s0/full/metrics.json"
    path.write_text(path.read_text() + " ")

    done = finished_copy.run("-m", "folk", "export", "config/tiny.yaml", "--crate", "crate")

    assert done.returncode == 2
    assert "full/metrics.json: its digest differs from" in done.stderr
    assert not (finished_copy.folder / "crate").exists()


@needs_readers
def test_others_read_and_accept_it(crate, tmp_path):
    cache = tmp_path / "cache"
    warm = Path(__file__).with_name("warm_cache.py")
    subprocess.run([READERS / "python", warm, cache], check=True)
    profile = ["-p", "provenance-run-crate-0.5", "--offline", "--cache-path", cache]
    said = tmp_path / "said.json"

    validator = [READERS / "rocrate-validator", "-y", "validate", crate, *profile]
    subprocess.run([*validator, "-f", "json", "-o", said, "--no-paging"], check=False)
    reader = [READERS / "runcrate", "report", crate]
    report = subprocess.run(reader, capture_output=True, text=True, check=True)

    found = json.loads(said.read_text())
    assert [issue["message"] for issue in found["issues"]] == []
    assert found["passed"]
    assert report.stdout.count("action: ") == 1 + len(list(crate.glob("**/record.json")))
