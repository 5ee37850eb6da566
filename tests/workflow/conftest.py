"""A repository of its own for the tests that run the workflow, and a whole tiny study in it."""

import fcntl
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PARTS = ("Snakefile", "profiles", "workflow", "folk", "config", "requirements.lock")


@dataclass(frozen=True)
class Copy:
    """A copy of what a user clones, in which tests may change anything."""

    folder: Path

    def run(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run Python with these arguments in the copy."""
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=self.folder,
            env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def snakemake(
        self, *arguments: str, study: str = "config/tiny.yaml"
    ) -> subprocess.CompletedProcess[str]:
        """Run snakemake on a study."""
        return self.run("-m", "snakemake", "--cores", "2", "--configfile", study, *arguments)

    def planned(self) -> Counter[str]:
        """How many jobs of each rule a dry run plans, the target left out."""
        return counts(self.snakemake("-n"))

    def edit(self, path: str, old: str, new: str) -> None:
        """Replace a text that must be there."""
        file = self.folder / path
        text = file.read_text(encoding="utf-8")
        assert old in text, f"{path} does not hold {old!r}"
        file.write_text(text.replace(old, new, 1), encoding="utf-8")


def counts(dry_run: subprocess.CompletedProcess[str]) -> Counter[str]:
    """How many jobs of each rule a dry run plans, the target left out."""
    assert dry_run.returncode == 0, dry_run.stderr + dry_run.stdout
    table = re.search(r"Job stats:\n.*?\n[- ]+\n(.*?)\ntotal", dry_run.stdout, re.DOTALL)
    rows = table.group(1).splitlines() if table else []
    jobs = {name: int(count) for name, count in map(str.split, rows)}
    jobs.pop("all", None)
    return Counter(jobs)


def copy_repository(folder: Path) -> Copy:
    for name in PARTS:
        source = ROOT / name
        if source.is_symlink():
            (folder / name).symlink_to(source.readlink())
        elif source.is_dir():
            skipped = shutil.ignore_patterns("__pycache__")
            shutil.copytree(source, folder / name, ignore=skipped)
        else:
            shutil.copy2(source, folder / name)
    shutil.copy2(ROOT / "tests/workflow/tiny.yaml", folder / "config/tiny.yaml")
    return Copy(folder)


@pytest.fixture
def clean_copy(tmp_path: Path) -> Copy:
    """A copy without results."""
    return copy_repository(tmp_path)


@pytest.fixture(scope="session")
def finished_study(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    """A copy in which the tiny study has been run, by one worker for all; not to be changed."""
    # pytest-xdist's workers have folders of their own in one that they share.
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if is_worker else base) / "finished"
    is_finished = folder.with_suffix(".done")
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if is_finished.exists():
            return Copy(folder)
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        copy = copy_repository(folder)
        done = copy.snakemake()
        logs = "".join(path.read_text() for path in copy.folder.glob("results/**/*.log"))
        assert done.returncode == 0, done.stderr + logs
        is_finished.touch()
    return copy


@pytest.fixture
def finished_copy(finished_study: Copy, tmp_path: Path) -> Copy:
    """A copy of the finished study, time stamps and all, in which tests may change anything."""
    shutil.copytree(finished_study.folder, tmp_path / "copy", copy_function=shutil.copy2)
    return Copy(tmp_path / "copy")


@pytest.fixture(scope="session")
def hand_made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study made by hand, with links to the code; not to be changed."""
    from tests.workflow.hand_made import STUDY, give_sources, make_by_hand

    folder = tmp_path_factory.mktemp("by-hand")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for name in ("folk", "requirements.lock"):
            Path(name).symlink_to(ROOT / name)
        shutil.copytree(ROOT / "config", "config")
        Path("config/mine.yaml").write_text(STUDY)
        give_sources()
        make_by_hand(Path("config/mine.yaml"))
    return folder


@pytest.fixture
def by_hand(hand_made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, time stamps and all, as the current folder."""
    shutil.copytree(hand_made, tmp_path / "copy", symlinks=True, copy_function=shutil.copy2)
    monkeypatch.chdir(tmp_path / "copy")
    return tmp_path / "copy"
