"""A clone with the pulled bytes of a study has nothing to do, and notices what is then changed."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.toy import git
from tests.workflow.conftest import ROOT, Copy

pytestmark = pytest.mark.slow

PARTS = ("dvc.yaml", ".dvcignore", ".gitignore", ".dvc/config", ".dvc/.gitignore")
RESULTS = Path("results/tiny")
REPORTS = {"report": 1, "track": 1}


def run(folder: Path, *command: str) -> str:
    environment = os.environ | {"DVC_NO_ANALYTICS": "true"}
    environment.pop("DVC_STAGE", None)
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def dvc(folder: Path, *arguments: str) -> str:
    return run(folder, sys.executable, "-m", "dvc", *arguments)


@pytest.fixture(scope="module")
def origin(finished_study: Copy, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished study in a repository; sealed, committed and pushed."""
    folder = tmp_path_factory.mktemp("origin") / "study"
    shutil.copytree(finished_study.folder, folder, copy_function=shutil.copy2)
    for name in PARTS:
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    stages = (ROOT / "dvc.yaml").read_text()
    (folder / "dvc.yaml").write_text(stages.replace("study: [demo]", "study: [tiny]"))
    git("init", "-q", folder=folder)
    git("add", ".", ":!results", folder=folder)
    git("commit", "-qm", "code", folder=folder)
    run(folder, sys.executable, "-m", "folk", "seal", "config/tiny.yaml")
    dvc(folder, "remote", "add", "--local", "--default", "store", str(folder.parent / "store"))
    dvc(folder, "push")
    git("add", ".", folder=folder)
    git("commit", "-qm", "results", folder=folder)
    return folder


@pytest.fixture(scope="module")
def pulled(origin: Path) -> Copy:
    """A clone of it into which the bytes were pulled; not to be changed."""
    clone = origin.parent / "clone"
    git("clone", "-q", str(origin), str(clone), folder=origin.parent)
    dvc(clone, "remote", "add", "--local", "--default", "store", str(origin.parent / "store"))
    dvc(clone, "pull")
    # A checkout writes in any order; this is the worst one.
    files = sorted(path for path in (clone / RESULTS).rglob("*") if path.is_file())
    files.sort(key=lambda path: (origin / path.relative_to(clone)).stat().st_mtime_ns)
    for age, path in enumerate(files):
        os.utime(path, (2e9 - 10 * age, 2e9 - 10 * age))
    return Copy(clone)


@pytest.fixture
def clone(pulled: Copy, tmp_path: Path) -> Copy:
    shutil.copytree(pulled.folder, tmp_path / "clone", copy_function=shutil.copy2)
    return Copy(tmp_path / "clone")


@pytest.fixture(scope="module")
def adopted(pulled: Copy) -> Copy:
    """A copy of the clone whose results were adopted; not to be changed."""
    folder = pulled.folder.parent / "adopted"
    shutil.copytree(pulled.folder, folder, copy_function=shutil.copy2)
    copy = Copy(folder)
    done = copy.run("-m", "folk", "adopt", "config/tiny.yaml")
    assert done.returncode == 0, done.stderr
    return copy


@pytest.fixture
def adopted_copy(adopted: Copy, tmp_path: Path) -> Copy:
    shutil.copytree(adopted.folder, tmp_path / "copy", copy_function=shutil.copy2)
    return Copy(tmp_path / "copy")


def test_the_seal_is_for_git_and_the_bytes_are_for_dvc(origin):
    ignored = subprocess.run(
        ["git", "check-ignore", str(RESULTS / "seal.json")], cwd=origin, check=False
    )
    assert ignored.returncode == 1
    assert f"{RESULTS}/seal.json" in git("ls-files", folder=origin).split()
    kept = [
        path for path in git("ls-files", "results", folder=origin).split() if "seal" not in path
    ]
    assert kept == [f"{RESULTS}/.gitignore"]
    assert git("status", "--porcelain", folder=origin) == ""


def test_a_clone_has_nothing_to_do_once_its_results_are_adopted(pulled, adopted):
    assert pulled.planned() != Counter()

    assert adopted.planned() == Counter()
    noted = json.loads((adopted.folder / RESULTS / "adopted.json").read_text())["records"]
    seal = json.loads((adopted.folder / RESULTS / "seal.json").read_text())
    assert {
        entry["path"]: entry["id"] for entry in noted if entry["path"] in seal["records"]
    } == seal["records"]
    assert not list((adopted.folder / ".snakemake/metadata").rglob("*"))
    assert git("status", "--porcelain", folder=adopted.folder) == ""


def test_a_clone_whose_files_are_links_to_the_cache_has_nothing_to_do_once_adopted(
    origin, tmp_path
):
    git("clone", "-q", str(origin), str(tmp_path / "clone"), folder=tmp_path)
    clone = Copy(tmp_path / "clone")
    dvc(clone.folder, "remote", "add", "--local", "--default", "store", f"{origin.parent}/store")
    dvc(clone.folder, "config", "--local", "cache.type", "symlink")

    early = clone.run("-m", "folk", "adopt", "config/tiny.yaml")
    assert early.stderr.splitlines() == [
        f"{RESULTS}: no records; get the results with `dvc pull` first",
        "failed; nothing was changed",
    ]

    dvc(clone.folder, "pull")
    assert (clone.folder / RESULTS / "pretrain/folk-s0/record.json").is_symlink()
    done = clone.run("-m", "folk", "adopt", "config/tiny.yaml")
    assert done.returncode == 0, done.stderr
    assert clone.planned() == Counter()


def test_the_seal_of_a_clone_holds_and_its_chain_stands_in_the_report(adopted):
    done = adopted.run("-m", "folk", "seal", "config/tiny.yaml", "--check")

    assert done.returncode == 0, done.stderr
    chain = re.search(r"chain ([0-9a-f]{64})", done.stderr).group(1)
    assert chain in (adopted.folder / RESULTS / "report.html").read_text()


def test_a_clone_that_pulled_and_adopted_raises_no_alarm(adopted):
    done = adopted.run("-m", "folk", "verify", "config/tiny.yaml", "--json")

    said = json.loads(done.stdout)
    assert [f"{f['place']}: {f['says']}" for f in said["findings"] if f["wrong"]] == []
    assert done.returncode == 0
    records = len(list((adopted.folder / RESULTS).glob("*/**/record.json")))
    (line,) = [f["says"] for f in said["findings"] if f["word"] == "adopted"]
    assert line == f"{records} of {records} results came by pull"


def test_one_flipped_byte_is_refused_and_nothing_is_touched(clone):
    encoder = clone.folder / RESULTS / "pretrain/folk-s0/encoder.safetensors"
    content = bytearray(encoder.read_bytes())
    content[-1] ^= 1
    encoder.write_bytes(content)
    times = {path: path.stat().st_mtime_ns for path in (clone.folder / RESULTS).rglob("*")}

    done = clone.run("-m", "folk", "adopt", "config/tiny.yaml")

    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if "sha256" in line]
    assert line.startswith(f"{RESULTS}/pretrain/folk-s0/encoder.safetensors: sha256 is ")
    assert times == {p: p.stat().st_mtime_ns for p in (clone.folder / RESULTS).rglob("*")}


@pytest.mark.parametrize(
    ("path", "old", "new", "planned"),
    [
        ("config/recipes/segment/demo.yaml", "power: 1.0", "power: 0.9", {"segment": 2, **REPORTS}),
        ("config/tiny.yaml", "split: few, ", "", {"finetune": 2, **REPORTS}),
        ("folk/evidence/results/metrics/knn.py", "-3.0 / temperature", "-4.0 / temperature",
         {"probe": 2, **REPORTS}),
        ("config/tiny.yaml", "title: Everything once", "title: Everything", {"report": 1}),
        ("config/recipes/finetune/demo-full.yaml", "about:", "# A new remark.\nabout:", {}),
    ],
)  # fmt: skip
def test_what_is_changed_after_an_adoption_is_made_again(adopted_copy, path, old, new, planned):
    adopted_copy.edit(path, old, new)

    assert adopted_copy.planned() == Counter(planned)


def test_a_job_that_then_runs_here_is_computed_here(adopted_copy):
    adopted_copy.edit("config/recipes/segment/demo.yaml", "power: 1.0", "power: 0.9")
    done = adopted_copy.snakemake("--until", "segment")
    assert done.returncode == 0, done.stderr

    assert adopted_copy.planned() == Counter(REPORTS)
    again = adopted_copy.run("-m", "folk", "adopt", "config/tiny.yaml")
    assert again.returncode == 0, again.stderr
    assert "adopted 15 records, 2 were computed here" in again.stderr
    assert adopted_copy.planned() == Counter(REPORTS)
