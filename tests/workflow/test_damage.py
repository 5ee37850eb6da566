"""The damage matrix: every file of a finished study, damaged in every way, and what verify says.

A damage is named at its own path and nothing else is accused, the rest is checked, status 1. What
an audit does not check, or cannot know, is listed here too.
"""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.faults.table import fault
from tests.toy import folk, opened
from tests.workflow.conftest import Copy

TINY = Path("results/tiny")
STUDY = Path("config/tiny.yaml")
# No number rests on what a job wrote to its log, on the mirror in MLflow, on state that a resume
# needs, on stamps of the workflow, or on what tells git which files DVC keeps.
NOT_CHECKED = re.compile(
    r"work/.*|.*\.log|.*benchmark\.jsonl|.*\.snakemake_timestamp|mlflow\.db|.*\.gitignore"
)


def _text(path: Path, kept: Path) -> None:
    path.write_text("not what it was\n")


def _empty(path: Path, kept: Path) -> None:
    path.write_bytes(b"")


def _byte(path: Path, kept: Path) -> None:
    content = bytearray(kept.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 1] = [content[middle] ^ 1] if content else [1]
    path.write_bytes(content)


def _cut(path: Path, kept: Path) -> None:
    path.write_bytes(kept.read_bytes()[: kept.stat().st_size // 2])


def _link(path: Path, kept: Path) -> None:
    path.symlink_to(Path("requirements.lock").absolute())


def _gone(path: Path, kept: Path) -> None:
    pass


def _folder(path: Path, kept: Path) -> None:
    path.mkdir()


def _nowhere(path: Path, kept: Path) -> None:
    path.symlink_to("gone")


DAMAGES: dict[Callable[[Path, Path], None], str] = {
    _gone: "missing",
    _folder: "missing",
    _nowhere: "missing",
    _empty: "tampered",
    _text: "tampered",
    _byte: "tampered",
    _cut: "tampered",
    _link: "tampered",
}


def truth(path: Path, damage: Callable[[Path, Path], None]) -> set[tuple[str, str]]:
    """The findings that fail the audit of a study with this damage to a file that is checked."""
    if path == TINY / "seal.json" and damage in (_gone, _nowhere):
        return set()  # a study that was never sealed is not accused; the remark names it
    if path == TINY / "seal.json":
        return {("tampered", path.as_posix())}
    return {(DAMAGES[damage], path.as_posix())}


@dataclass(frozen=True)
class Audit:
    """What `folk verify --json` says, or how it ended without saying anything."""

    status: int
    wrong: set[tuple[str, str]]
    files: int
    error: str = ""


def audit() -> Audit:
    try:
        done = folk("verify", STUDY, "--json")
    except Exception as error:  # noqa: BLE001 - a traceback is what is looked for
        return Audit(-1, set(), 0, repr(error))
    if not done.stdout:
        return Audit(done.returncode, set(), 0, done.stderr)
    found = json.loads(done.stdout)
    wrong = {(f["word"], f["place"]) for f in found["findings"] if f["wrong"]}
    return Audit(done.returncode, wrong, found["checked"]["files"])


@contextmanager
def damaged(path: Path, damage: Callable[[Path, Path], None]) -> Iterator[None]:
    """Damage a file; afterwards it is there as before."""
    kept = Path("kept", path.as_posix().replace("/", "+"))
    kept.parent.mkdir(exist_ok=True)
    path.rename(kept)
    try:
        damage(path, kept)
        yield
    finally:
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        kept.replace(path)


@pytest.fixture(scope="module")
def whole(finished_study: Copy, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Audit]:
    """A finished and sealed study, one of whose jobs failed once; its audit before any damage."""
    folder = tmp_path_factory.mktemp("damage") / "copy"
    shutil.copytree(finished_study.folder, folder, copy_function=shutil.copy2)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        with pytest.raises(RuntimeError), opened("pretrain", "folk-s0", study="tiny"):
            raise RuntimeError("diverged")
        for command in ("report", "seal"):
            assert folk(command, STUDY).returncode == 0
        found = audit()
        assert (found.status, found.wrong) == (0, set())
        yield found


def files(are_checked: bool = True) -> list[Path]:
    return sorted(
        path
        for path in TINY.rglob("*")
        if path.is_file()
        and are_checked != bool(NOT_CHECKED.fullmatch(path.relative_to(TINY).as_posix()))
    )


def kind(path: Path) -> str:
    """Files of one kind have one name; those named after a run, table or figure, one folder."""
    place = path.relative_to(TINY)
    if place.parts[0] in ("tables", "figures", "metrics") or path.suffix == ".arrow":
        return f"{place.parts[0]}/*{path.suffix}"
    if place.parts[0] in ("report", "track"):
        return f"{place.parts[0]}/{path.name}"
    return re.sub(r"record-.*\.failed", "record-*.failed", path.name)


def misfits(paths: list[Path], damage: Callable[[Path, Path], None], whole: Audit) -> list[str]:
    """A line for each file of which the audit does not say the truth and nothing else."""
    lines = []
    for path in paths:
        if damage in (_empty, _cut) and path.stat().st_size == 0:
            continue  # this changes nothing
        expected = truth(path, damage)
        with damaged(path, damage):
            found = audit()
        if found.error or (found.status, found.wrong) != (int(bool(expected)), expected):
            lines.append(f"{path}: {found.status} {sorted(found.wrong)} {found.error}")
        # A record that cannot be read hides what it alone names, and nothing more.
        elif path.name != "record.json" and found.files < whole.files - 1:
            lines.append(f"{path}: {found.files} of {whole.files} files were checked")
    return lines


@fault("Bytes", "any file of a finished study: gone, empty, cut, other, a folder, a link",
       "`folk verify` names it, accuses nothing else, checks the rest; status 1")  # fmt: skip
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_a_damaged_file_of_each_kind_is_named_and_nothing_else_is(damage, whole):
    of_kind = {kind(path): path for path in files()}
    assert {"record.json", "predictions.parquet", "prepare/*.arrow", "figures/*.svg"} < set(of_kind)
    assert {"examples.npz", "record-*.failed.json", "report.html", "study.yaml"} < set(of_kind)

    assert misfits(list(of_kind.values()), damage, whole) == []


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_files_that_no_audit_checks_may_be_damaged(damage, whole):
    unchecked = files(are_checked=False)
    assert {".log", ".jsonl", ".db", ".json", ".id"} <= {path.suffix for path in unchecked}

    with ExitStack() as stack:
        for path in unchecked:
            stack.enter_context(damaged(path, damage))
        assert audit() == whole


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
def test_every_damaged_file_is_named_and_nothing_else_is(damage, whole):
    assert misfits(files(), damage, whole) == []
