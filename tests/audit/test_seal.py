"""The seal moves when anything moves, stays when nothing does, and tells what is not as it was."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
from typer.testing import CliRunner

from folk.cli.app import app
from folk.evidence.audit.chain import Chain
from folk.evidence.audit.seal import read_seal, seal_path, seal_problems, signature_path, write_seal
from folk.evidence.audit.signature import check_signature, sign
from folk.evidence.core.canonical import chain_digest, sha256_of_json
from folk.evidence.core.errors import InputError
from folk.evidence.study.study import load_study
from folk.stages.table import STAGES
from tests.faults.table import fault
from tests.toy import RESULTS, edit, git

STUDY = Path("config/demo.yaml")
ENCODER = RESULTS / "pretrain/folk-s0/record.json"
has_ssh = pytest.mark.skipif(
    shutil.which("ssh-keygen") is None,
    reason="needs ssh-keygen: install openssh-client, as CI does",
)


def sealed():
    return write_seal(load_study(STUDY, STAGES), STUDY, RESULTS)


def failure():
    (path,) = Chain(RESULTS).failed_paths()
    return path


def test_a_seal_holds_every_record_failed_ones_too_and_the_small_results(finished):
    seal = sealed()

    assert read_seal(seal_path(RESULTS)) == seal
    assert seal.holds
    assert seal.records[ENCODER.as_posix()] == json.loads(ENCODER.read_text())["id"]
    assert len(seal.records) == 3
    assert list(seal.failed) == [failure().as_posix()]
    assert list(seal.files) == [
        "results/demo/cells.parquet", "results/demo/tables/main.md", "config/demo.yaml",
        "config/published/numbers.csv", "config/published/papers.yaml", "requirements.lock",
    ]  # fmt: skip
    assert seal.chain == chain_digest(seal.records, seal.failed)
    assert seal.parent is None
    assert seal_problems(RESULTS) == []


def test_an_unchanged_study_keeps_its_seal_byte_for_byte(finished):
    sealed()
    before, time = seal_path(RESULTS).read_bytes(), seal_path(RESULTS).stat().st_mtime_ns

    sealed()

    assert seal_path(RESULTS).read_bytes() == before
    assert seal_path(RESULTS).stat().st_mtime_ns == time


def test_a_changed_study_gets_a_seal_that_names_the_one_before(finished):
    first = sealed()
    (RESULTS / "tables/main.md").write_text("| 12.6 |\n")

    second, third = sealed(), sealed()

    assert second.parent == first.digest
    assert second.chain == first.chain
    assert third == second


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda: (RESULTS / "tables/main.md").write_text("| 99.9 |\n"), "main.md: other bytes"),
        (lambda: (RESULTS / "cells.parquet").unlink(), "cells.parquet: sealed, but missing"),
        (lambda: failure().unlink(), "failed.json: sealed, but missing"),
        (lambda: shutil.rmtree(RESULTS / "failed"), "failed.json: sealed, but missing"),
        (lambda: edit(ENCODER, lambda r: r["recipe"].update(a=2)), "record.json: its id does not"),
        (lambda: ENCODER.write_text("{"), "record.json: invalid JSON"),
        (lambda: edit(seal_path(RESULTS), lambda s: s["failed"].clear()), "seal.json: it was edit"),
    ],
)
def test_what_is_not_as_it_was_sealed_is_named(finished, change, line):
    sealed()

    change()

    problems = seal_problems(RESULTS)
    assert line in " ".join(problems)
    assert all(problem.startswith("results/demo/") for problem in problems)


def test_a_lost_failure_is_not_sealed_away(finished):
    before, lost = sealed(), failure()
    kept = lost.read_bytes()
    lost.unlink()

    with pytest.raises(InputError, match=r"failed\.json: sealed in .* restore it"):
        sealed()

    assert read_seal(seal_path(RESULTS)) == before
    lost.write_bytes(kept)
    assert sealed() == before


def test_an_edited_record_is_not_sealed(finished):
    edit(ENCODER, lambda record: record["metrics"].update(top1=0.9))

    with pytest.raises(InputError, match="run that job again"):
        sealed()

    assert not seal_path(RESULTS).exists()


@fault(
    "Hostile input",
    "an edited seal",
    "refused: `restore the committed one`; nothing is sealed upon it",
)
def test_an_edited_seal_is_not_built_upon(finished):
    sealed()
    edit(seal_path(RESULTS), lambda seal: seal["records"].clear())

    with pytest.raises(InputError, match="restore the committed one"):
        sealed()


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda seal: seal.update(parent="my own"), "its parent 'my own' is no digest"),
        (lambda seal: seal.update(files={}), "it has no files"),
        (lambda seal: seal.update(study="other"), "the seal of another study, 'other'"),
    ],
)
def test_a_seal_that_was_made_up_is_refused_although_its_digest_holds(finished, change, problem):
    sealed()
    edit(seal_path(RESULTS), lambda seal: (change(seal), seal.update(digest=digest_of(seal))))

    assert read_seal(seal_path(RESULTS)).holds
    assert any(problem in line for line in seal_problems(RESULTS))
    with pytest.raises(InputError, match=problem):
        sealed()


def digest_of(seal):
    return sha256_of_json({key: value for key, value in seal.items() if key != "digest"})


@pytest.fixture
def committed(finished):
    """A sealed study whose seal is committed, and nothing else."""
    first = sealed()
    git("init", "-q")
    git("add", "-f", seal_path(RESULTS))
    git("commit", "-qm", "seal the study")
    return first


def test_a_seal_has_the_committed_one_as_parent_however_often_it_was_made_since(committed):
    for text in ("| 12.6 |", "| 12.7 |"):
        (RESULTS / "tables/main.md").write_text(text)
        assert sealed().parent == committed.digest
    assert seal_problems(RESULTS) == []

    git("commit", "-qam", "seal it again")
    (RESULTS / "tables/main.md").write_text("| 12.8 |")

    assert sealed().parent not in (None, committed.digest)


def test_a_deleted_seal_comes_back_as_it_was_committed(committed):
    seal_path(RESULTS).unlink()

    assert sealed() == committed


def test_a_seal_without_its_committed_parent_is_named_and_can_be_made_again(committed):
    edit(
        seal_path(RESULTS),
        lambda seal: (seal.update(parent="0" * 64), seal.update(digest=digest_of(seal))),
    )

    (line,) = seal_problems(RESULTS)

    assert line.endswith("its parent is another one; seal the study again")
    sealed()
    assert seal_problems(RESULTS) == []


def test_a_failure_of_the_committed_seal_cannot_be_sealed_away_with_the_seal(committed):
    seal_path(RESULTS).unlink()
    failure().unlink()

    with pytest.raises(InputError, match=r"sealed in .* restore it"):
        sealed()


@pytest.mark.parametrize("study", ["demo", "demo-full"])
def test_git_sees_the_seal_and_the_freeze_of_a_demo_and_none_of_its_bytes(study):
    root = Path(__file__).parents[2]
    names = (
        "seal.json", "freeze.json", "freeze.json.ots", "attestations/a.json", "report.html",
        "prepare/a.arrow",
    )  # fmt: skip
    paths = [f"results/{study}/{name}" for name in names]
    command = ["git", "-C", root, "check-ignore", "--no-index", *paths]

    ignored = subprocess.run(command, capture_output=True, text=True, check=False)

    assert ignored.stdout.split() == paths[4:]


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"format": 1, "study": "demo"}'])
def test_a_file_that_is_no_seal_is_refused(finished, text):
    seal_path(RESULTS).write_text(text)

    with pytest.raises(InputError, match=r"seal\.json: .*; restore the committed one"):
        read_seal(seal_path(RESULTS))


def test_a_study_that_was_never_sealed_says_so(finished):
    assert read_seal(seal_path(RESULTS)) is None
    with pytest.raises(InputError, match="write it with `python -m folk seal`"):
        seal_problems(RESULTS)


@pytest.fixture
def key(finished):
    if shutil.which("ssh-keygen") is not None:
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f", "key"]
        subprocess.run(command, check=True)
    return Path("key")


@has_ssh
def test_a_signature_says_who_signed_and_only_these_bytes(key):
    sealed()
    path, signature = seal_path(RESULTS), signature_path(RESULTS)
    Path("signers").write_text(f"lab@example.org {Path('key.pub').read_text()}")
    Path("others").write_text(f"other@example.org {'ssh-ed25519 AAAA'}\n")

    sign(path, key, signature)

    assert "lab@example.org" in check_signature(path, signature, Path("signers"))
    assert "give --signers" in check_signature(path, signature, None)
    with pytest.raises(InputError):
        check_signature(path, signature, Path("others"))
    path.write_text(path.read_text().replace("demo", "dem0", 1))
    for signers in (Path("signers"), None):
        with pytest.raises(InputError, match="ssh-keygen -Y"):
            check_signature(path, signature, signers)


@has_ssh
def test_the_command_seals_signs_and_checks(key):
    Path("signers").write_text(f"lab@example.org {Path('key.pub').read_text()}")
    command = ["seal", str(STUDY)]

    assert CliRunner().invoke(app, [*command, "--sign", "key"]).exit_code == 0
    checked = CliRunner().invoke(app, [*command, "--check", "--signers", "signers"])
    assert checked.exit_code == 0
    assert "lab@example.org" in checked.stderr
    assert read_seal(seal_path(RESULTS)).digest in checked.stderr

    (RESULTS / "cells.parquet").write_text("other cells")
    checked = CliRunner().invoke(app, [*command, "--check"])
    assert checked.exit_code == 1
    assert "cells.parquet: other bytes than were sealed" in checked.stderr


def test_signers_without_a_signature_are_not_satisfied(finished):
    CliRunner().invoke(app, ["seal", str(STUDY)])
    Path("signers").write_text("")

    checked = CliRunner().invoke(app, ["seal", str(STUDY), "--check", "--signers", "signers"])

    assert checked.exit_code == 1
    assert "the seal is not signed" in checked.stderr


@has_ssh
def test_a_new_seal_does_not_keep_the_signature_of_the_old_one(key):
    sealed()
    sign(seal_path(RESULTS), key, signature_path(RESULTS))
    sealed()
    assert signature_path(RESULTS).is_file()

    (RESULTS / "cells.parquet").write_text("other cells")
    sealed()

    assert not signature_path(RESULTS).exists()


@has_ssh
def test_a_key_that_is_not_there_is_said_in_one_line(finished):
    sealed()
    with pytest.raises(InputError, match=r"ssh-keygen -Y sign: .*no-key"):
        sign(seal_path(RESULTS), Path("no-key"), signature_path(RESULTS))

    assert not signature_path(RESULTS).exists()
