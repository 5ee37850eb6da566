"""What a crate holds of a study: nothing that its records name is left out or misnamed."""

import hashlib
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from folk.evidence.adapters import rocrate_export
from folk.evidence.audit.chain import Chain
from folk.evidence.core.digest import digest_file, digest_url
from tests.audit.conftest import RESULTS, pretrain
from tests.toy import edit, folk, git
from tests.workflow.readers import READERS, needs_readers

ENCODER = RESULTS / "pretrain/mfm-s0/encoder.safetensors"
WARM = Path(__file__).parents[1] / "workflow/warm_cache.py"


@pytest.fixture(autouse=True)
def repository(toy: Any) -> None:
    Path("Snakefile").write_text("rule all:\n")
    Path("requirements.lock").write_text("numpy==2\n")


def export(out: str = "crate", study: str = "config/toy.yaml") -> dict[str, Any]:
    """The entities of the study's crate, by id."""
    done = folk("export", study, "--crate", out)
    assert done.returncode == 0, done.stderr
    written = json.loads(Path(out, "ro-crate-metadata.json").read_text())["@graph"]
    return {entity["@id"]: entity for entity in written}


def ids(value: Any) -> set[str]:
    return {each["@id"] for each in (value if isinstance(value, list) else [value])}


def action(graph: dict[str, Any], name: str) -> Any:
    """The action of a finished job."""
    named = [entity for entity in graph.values() if entity.get("name") == name]
    (found,) = (e for e in named if "Completed" in e.get("actionStatus", ""))
    return found


def parameters(graph: dict[str, Any], job: str) -> dict[str, str]:
    read = [graph[each] for each in ids(action(graph, job)["object"])]
    return {e["name"]: e["value"] for e in read if e["@type"] == "PropertyValue"}


def test_a_file_above_the_limit_is_a_part_of_the_crate_named_by_its_digest(monkeypatch):
    monkeypatch.setattr(rocrate_export, "LARGEST", ENCODER.stat().st_size - 1)

    graph = export()

    large = [e for e in graph.values() if e["@id"].startswith("ni:///sha-256;")]
    (entity,) = (e for e in large if e["name"] == ENCODER.as_posix())
    assert entity["sha256"] == hashlib.sha256(ENCODER.read_bytes()).hexdigest()
    assert not Path("crate", ENCODER).exists()
    assert ids(large) <= ids(graph["./"]["hasPart"])


def test_every_file_is_a_part_of_the_crate():
    graph = export()

    files = {name for name, e in graph.items() if "File" in e["@type"]}
    assert files == ids(graph["./"]["hasPart"])


def test_a_lock_that_is_no_longer_here_is_named_by_its_digest():
    used = hashlib.sha256(Path("requirements.lock").read_bytes()).hexdigest()
    edit(
        RESULTS / "pretrain/mfm-s0/record.json",
        lambda record: record["environment"].update(lock_sha256=used),
        new_id=True,
    )
    today = export("today")
    Path("requirements.lock").write_text("numpy==3\n")
    later = export("later")

    for graph, place in ((today, "requirements.lock"), (later, digest_url(used))):
        (tool,) = ids(action(graph, "pretrain mfm-s0")["instrument"])
        assert ids(graph[tool]["buildInstructions"]) == {place}
        assert graph[place]["sha256"] == used
    assert not Path("later/requirements.lock").exists()


def test_a_recipe_that_changed_since_is_named_by_its_digest():
    path = Path("config/recipes/pretrain/mine.yaml")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("assume: before\n")
    read = digest_file(path)
    entry = {"name": "recipe", "path": path.as_posix(), "record": None, "size": read.size}
    edit(
        RESULTS / "pretrain/mfm-s0/record.json",
        lambda record: record["inputs"].append(
            record["inputs"][0] | entry | {"sha256": read.sha256}
        ),
        new_id=True,
    )
    assert path.as_posix() in ids(action(export("before"), "pretrain mfm-s0")["object"])
    path.write_text("assume: after\n")

    graph = export("after")

    assert digest_url(read.sha256) in ids(action(graph, "pretrain mfm-s0")["object"])
    assert not Path("after", path).exists()


@needs_readers
@pytest.mark.slow
def test_the_validator_accepts_a_crate_with_files_above_the_limit(monkeypatch, tmp_path):
    subprocess.run([READERS / "python", WARM, tmp_path / "cache"], check=True)
    monkeypatch.setattr(rocrate_export, "LARGEST", ENCODER.stat().st_size - 1)
    export()

    profile = ["-p", "provenance-run-crate-0.5", "--offline", "--cache-path", tmp_path / "cache"]
    options = [*profile, "-f", "json", "-o", "said.json", "--no-paging"]
    subprocess.run([READERS / "rocrate-validator", "-y", "validate", "crate", *options])

    found = json.loads(Path("said.json").read_text())
    assert [issue["message"] for issue in found["issues"]] == []


@pytest.mark.parametrize("absolute", [True, False])
def test_a_study_outside_of_the_repository_is_in_the_crate_by_its_name(tmp_path, absolute):
    away = tmp_path / "away/mine.yaml"
    away.parent.mkdir()
    Path("config/toy.yaml").rename(away)

    graph = export(study=str(away) if absolute else os.path.relpath(away))

    assert graph["mine.yaml"]["sha256"] == hashlib.sha256(away.read_bytes()).hexdigest()
    assert Path("crate/mine.yaml").read_bytes() == away.read_bytes()
    assert str(tmp_path) not in Path("crate/ro-crate-metadata.json").read_text()


def test_the_values_that_decided_a_result_are_parameters_of_its_action():
    known = parameters(export(), "pretrain mfm-s1")

    assert known["recipe.optim.epochs"] == "3"
    assert known["seed"] == "1"


def test_commit_and_kept_uncommitted_changes_come_along():
    Path(".gitignore").write_text("*\n!code.py\n")
    Path("code.py").write_text("a = 1\n")
    git("init", "-q")
    git("add", "code.py")
    git("commit", "-qm", "code")
    Path("code.py").write_text("a = 2\n")
    pretrain("mfm-s0", 0)
    with pytest.raises(KeyboardInterrupt):
        pretrain("mfm-s1", 1, stop=True)

    graph = export()

    assert parameters(graph, "pretrain mfm-s0")["commit"] == git("rev-parse", "HEAD").strip()
    kept = sorted(path for path in RESULTS.rglob("*.diff") if "work" not in path.parts)
    assert len(kept) == 2  # of a finished job and of a stopped one
    for path in kept:
        assert Path("crate", path).read_bytes() == path.read_bytes()
    diff = f"{RESULTS}/pretrain/mfm-s0/uncommitted.diff"
    assert diff in ids(action(graph, "pretrain mfm-s0")["object"])

    Path(diff).write_text("other\n")
    done = folk("export", "config/toy.yaml", "--crate", "again")
    assert done.returncode == 2
    assert "uncommitted.diff: its digest differs from" in done.stderr


def test_ids_are_percent_encoded():
    def rename(record: Any) -> None:
        record["inputs"][0] |= {"path": "/data/my images", "sha256": None}

    path = RESULTS / "prepare/scenes/record.json"
    edit(path, rename, new_id=True)
    Path("config/toy.yaml").rename("config/my study.yaml")

    graph = export(study="config/my study.yaml")

    assert graph["#folder-my%20images"]["name"] == "my images"
    assert Path("crate/config/my study.yaml").is_file()
    assert "config/my%20study.yaml" in graph
    assert [name for name in graph if " " in name] == []


def test_a_crate_among_the_results_is_refused_since_it_would_have_every_record_twice():
    before = Chain(RESULTS).record_paths()

    done = folk("export", "config/toy.yaml", "--crate", RESULTS / "crate")

    assert done.returncode == 2
    assert f"--crate {RESULTS}/crate: inside {RESULTS}; give a folder elsewhere" in done.stderr
    assert Chain(RESULTS).record_paths() == before
