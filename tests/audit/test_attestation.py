"""A cell whose jobs ran again elsewhere: who signed what came out, and what of it counts."""

import base64
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from folk.evidence.audit import again
from folk.evidence.audit.attestation import (
    FOLDER,
    STATEMENT,
    in_words,
    jobs_of,
    read_attestations,
    write_attestation,
)
from folk.evidence.audit.seal import seal_path, seal_problems, signature_path
from folk.evidence.audit.signature import sign
from folk.evidence.audit.subject import Subject
from folk.evidence.core.digest import digest_file
from folk.evidence.record.schema import record_id
from folk.evidence.results.cells import read_cells
from folk.evidence.study.study import load_study
from folk.stages.table import STAGES
from tests.audit.conftest import PUBLISHED, RESULTS, predict
from tests.audit.many_runs import STUDY_PATH, audit, fill, report
from tests.faults.table import fault
from tests.toy import edit, folk

pytestmark = pytest.mark.skipif(
    shutil.which("ssh-keygen") is None,
    reason="needs ssh-keygen: install openssh-client, as CI does",
)
CELL, OTHER = "main/r0/full", "main/r1/full"  # 0, 15, 30 %, and 35, 50, 65 %
ENCODER = RESULTS / "pretrain/r0-s0/encoder.safetensors"
MEASURED = RESULTS / "finetune/r0-s0/full/record.json"


@pytest.fixture(scope="module")
def three(tmp_path_factory):
    """Two rows of three seeds, finished and sealed, and two keys."""
    folder = tmp_path_factory.mktemp("three")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        fill(2, 3)
        for name in ("key", "other"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", name]
            subprocess.run(command, check=True)
    return folder


class Machine:
    """Another machine: it runs jobs again, each in a moment, with `more` hits."""

    def __init__(self):
        self.more, self.ran, self.fails, self.capability = 0, [], "", "AVX2"

    def rerun(self, job, _stage, paths, *, moved=None, **options):
        """As `again.rerun`."""
        self.ran.append(job.name)
        if job.name == self.fails:
            return "no space left"
        out, record = paths["--out"], json.loads(json.dumps(job.record))
        shutil.copytree(job.path.parent, out)
        if record["stage"] == "finetune":
            hits = round(20 * record["metrics"]["top1_last"]) + self.more
            record["metrics"]["top1_last"] = hits / 20
            (out / "metrics.json").write_text(json.dumps(record["metrics"]))
            predict(out, hits)
        for entry in record["inputs"]:
            entry["path"] = entry["path"].replace(f"{moved[0]}/", f"{moved[1]}/")
        for output in record["outputs"]:
            output["sha256"] = digest_file(out / Path(output["path"]).name).sha256
        record["geometry"]["threads"] = options["threads"] or record["geometry"]["threads"]
        record["hardware"]["cpu_capability"] = self.capability
        (out / "record.json").write_text(json.dumps(record | {"id": record_id(record)}))
        return None


@pytest.fixture
def machine(three, tmp_path, monkeypatch):
    """A copy of the study, which is the current folder, and a machine that runs its jobs again."""
    shutil.copytree(three, tmp_path / "study")
    monkeypatch.chdir(tmp_path / "study")
    fake = Machine()
    monkeypatch.setattr(again, "rerun", fake.rerun)
    return fake


def rerun(*options, cell=CELL):
    return folk("rerun", STUDY_PATH, cell, *options)


def attest(*options, key="key"):
    """Attest the cell; the new file."""
    before = {*(RESULTS / FOLDER).glob("*")}
    rerun("--attest", "--key", key, *options)
    (path,) = {*(RESULTS / FOLDER).glob("*")} - before
    return path


def attest_otherwise(cell=CELL, key="key", **changes):
    """Sign the statement of another machine with these changes, as a liar would."""
    path = attest()
    told = read_attestations(RESULTS)[0].predicate
    path.unlink()
    subject = subject_of()
    own = {job.record for job in told.jobs}
    jobs = [j for j in jobs_of(subject, cell_of(CELL)) if j.path.as_posix() in own]
    return write_attestation(RESULTS, replace(told, cell=cell, **changes), jobs, Path(key))


def subject_of():
    return Subject(load_study(STUDY_PATH, STAGES), STUDY_PATH, RESULTS, PUBLISHED, {})


def cell_of(name):
    return {cell.id: cell for cell in read_cells(RESULTS / "cells.parquet")}[name]


def found_of(path, **options):
    """The finding of an audit on a file: word, sentence, and True if the audit fails for it."""
    (found,) = [f for f in audit(**options).findings if f.place == path.as_posix()]
    return found.word, found.says, found.wrong


def statement_of(path):
    return json.loads(base64.b64decode(json.loads(path.read_text())["payload"]))


def files():
    return {p: p.read_bytes() for p in RESULTS.rglob("*") if p.is_file() and FOLDER not in p.parts}


def test_an_attestation_is_a_signed_statement_about_the_files_of_the_study(machine):
    before, machine.more = files(), 1

    path = attest("--by", "the lab next door", "--threads", "3")

    statement = statement_of(path)
    assert statement["_type"] == STATEMENT
    subjects = {each["name"]: each["digest"]["sha256"] for each in statement["subject"]}
    assert ENCODER.as_posix() in subjects
    assert MEASURED.with_name("predictions.parquet").as_posix() in subjects
    assert all(digest_file(Path(name)).sha256 == digest for name, digest in subjects.items())
    told = statement["predicate"]
    assert (told["value"], told["again"], told["difference"], told["inside"]) == (15, 20, 5, True)
    assert [run["again"] for run in told["runs"]] == pytest.approx([5, 20, 35])
    assert [job["same"] for job in told["jobs"]] == ["other"] * 3
    assert {job["threads"] for job in told["jobs"]} == {3}
    assert told["by"] == "the lab next door"
    assert files() == before
    assert seal_problems(RESULTS) == []


def test_one_that_is_right_is_a_remark_and_one_that_is_outside_says_so(machine):
    path = attest("--by", "lab")
    word, says, wrong = found_of(path)
    assert (word, wrong) == ("ok", False)
    assert says.startswith("main/r0/full again by lab on ")
    assert says.endswith("from evaluation: 15, +0 points, inside the seeds' interval")

    machine.more = 8
    assert rerun().returncode == 1
    word, says, wrong = found_of(attest())
    assert (word, wrong) == ("ok", False)
    assert says.endswith("55, +40 points, NOT inside the seeds' interval")


def edited(path):
    """Another value, and the signature of the old one."""
    envelope = json.loads(path.read_text())
    statement = statement_of(path)
    statement["predicate"]["by"] = "somebody else"
    envelope["payload"] = base64.b64encode(json.dumps(statement).encode()).decode()
    path.write_text(json.dumps(envelope))


def signature_of_seal(path):
    """A signature by the same key that was made for another purpose."""
    sign(seal_path(RESULTS), Path("key"), Path("seal.sig"))
    sig = base64.b64encode(Path("seal.sig").read_bytes()).decode()
    edit(path, lambda envelope: envelope["signatures"][0].update(sig=sig))


@fault("Hostile input", "an attestation that was edited, or has the signature of something else",
       "`verify` names it: forged; nothing counts it")  # fmt: skip
@pytest.mark.parametrize("forge", [edited, signature_of_seal])
def test_a_forged_one_is_named(machine, forge):
    path = attest()
    forge(path)

    assert found_of(path) == ("tampered", "forged: its signature is not of this statement", True)


def test_an_unsigned_one_does_not_count_and_fails_no_audit(machine):
    done = rerun("--attest")
    (path,) = (RESULTS / FOLDER).glob("*")

    assert "not signed" in done.stderr
    assert found_of(path) == ("missing", "not signed, so it does not count", False)


def test_a_stale_one_is_named(machine):
    path = attest()
    edit(MEASURED, lambda record: record.update(seconds=7.5), new_id=True)

    word, says, _ = found_of(path)

    assert (word, says) == ("stale", f"{MEASURED} was made again since; ask for a new attestation")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"study": "mine"}, "attests another study, 'mine'"),
        ({"cell": "main/r9/full"}, "attests a cell that the study has not, 'main/r9/full'"),
        ({"cell": OTHER}, "attests another cell: results/toy/finetune/r0-s0/full/record.json is "
                          "not behind main/r1/full"),
    ],
)  # fmt: skip
def test_a_foreign_one_is_named(machine, changes, says):
    assert found_of(attest_otherwise(**changes)) == ("foreign", says, True)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"value": 31.0}, "its value does not follow from its runs and the cell"),
        ({"difference": 0.1}, "its difference does not follow from its runs and the cell"),
        ({"inside": None}, "its inside does not follow from its runs and the cell"),
        ({"again": 44.0}, "its again does not follow from its runs and the cell"),
        ({"runs": []}, "it has 0 runs, the cell 3"),
        ({"jobs": []}, "results/toy/finetune/r0-s0/full/record.json was not run again"),
        ({"start": "pretrain"}, "results/toy/pretrain/r0-s0/record.json was not run again"),
    ],
)
def test_one_that_contradicts_itself_or_the_records_is_forged(machine, changes, says):
    word, found, wrong = found_of(attest_otherwise(**changes))

    assert (word, wrong) == ("tampered", True)
    assert found.startswith(f"forged: {says}")


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"payload": "e30=", "payloadType": "x"}'])
def test_a_file_that_is_no_attestation_is_named_and_ends_no_audit(machine, text):
    path = RESULTS / FOLDER / "a.json"
    path.parent.mkdir()
    path.write_text(text)

    word, says, wrong = found_of(path)

    assert (word, wrong) == ("tampered", True)
    assert says.startswith("no signed in-toto statement: ")


def test_a_wrong_one_accuses_no_number(machine):
    edited(attest())

    assert set(map(tuple, audit().cells.values())) == {("ok",)}
    (line,) = [s for s in explained()["not_established"] if FOLDER in s]
    assert "does not count, tampered: forged" in line
    assert explained()["holds"]


def explained():
    return json.loads(folk("explain", STUDY_PATH, CELL, "--json").stdout)


def test_parties_and_kinds_of_cpu_are_counted_in_explain_and_on_the_page(machine):
    attest()
    attest("--by", "the same party again")
    machine.capability, machine.more = "DEFAULT", 1
    attest(key="other")
    says = "re-run by 2 parties on 2 kinds of CPU, largest difference 5 points, "
    says += "inside the seeds' interval"

    found = explained()
    report()

    assert f"by 3 signed attestations of these very records {says}" in found["established"]
    assert found["number"]["n"] == 3
    assert len({each["key"] for each in found["reruns"]}) == 2
    assert says in " ".join(folk("explain", STUDY_PATH, CELL).stdout.split())
    page = (RESULTS / "report.html").read_text().replace("&#39;", "'")
    assert f"<dt>attested</dt><dd>{says}</dd>" in page
    assert page.count(says) == 3  # on the first screen, and for the cell as fact and as established


def test_what_the_sealing_key_attests_is_counted_apart(machine):
    sign(seal_path(RESULTS), Path("key"), signature_path(RESULTS))
    attest()
    attest(key="other")

    found = read_attestations(RESULTS)

    assert sorted(each.own for each in found) == [False, True]
    assert in_words(found).startswith("re-run by 1 party on 1 kind of CPU, ")
    assert "; re-run with the seal's own key on 1 kind of CPU" in in_words(found)


def test_signers_say_whose_attestations_count(machine):
    Path("signers").write_text(f"lab@example.org {Path('key.pub').read_text()}")
    known, unknown = attest(), attest(key="other")

    assert " again by lab@example.org on " in found_of(known, signers=Path("signers"))[1]
    word, says, wrong = found_of(unknown, signers=Path("signers"))
    assert (word, wrong) == ("missing", False)
    assert says.endswith("which is not in signers")
    assert folk("verify", STUDY_PATH, "--signers", "none").returncode == 2


def test_from_pretrain_runs_the_chain_and_data_only_where_it_is_not_here(machine):
    rerun("--from", "pretrain")
    of_runs = machine.ran
    assert of_runs[:2] == ["pretrain r0-s0", "finetune r0-s0/full"]
    assert len(of_runs) == 6

    machine.ran = []
    (RESULTS / "prepare/scenes/manifest.parquet").rename("kept")
    assert "give --from pretrain" in rerun().stderr
    assert machine.ran == []
    jobs = [job.name for job in again.jobs_again(subject_of(), CELL, "pretrain")]
    assert jobs == ["prepare scenes", *of_runs]


@pytest.mark.parametrize(
    ("change", "options", "line"),
    [
        (ENCODER.unlink, (), "missing; results/toy/finetune/r0-s0/full/record.json read it; "
                             "restore it, or give --from pretrain"),
        (lambda: ENCODER.write_text("weights of another"), (), "other bytes than its record has"),
        (lambda: None, ("--key", "key"), "--key: needs --attest"),
        (lambda: None, ("--attest", "--key", "none"), "--key none: no such file"),
        (lambda: None, ("--attest", "--key", str(STUDY_PATH)), "ssh-keygen -Y sign: "),
    ],
)  # fmt: skip
def test_what_cannot_run_again_is_one_line(machine, change, options, line):
    change()

    done = rerun(*options)

    assert done.returncode == 2
    assert line in done.stderr
    assert not (RESULTS / FOLDER).exists()


def test_cells_of_one_call_share_their_jobs_and_are_attested_one_by_one(machine):
    done = rerun("main/r1/full", "--attest", "--key", "key")

    assert done.returncode == 0
    assert machine.ran == [f"finetune r{row}-s{seed}/full" for row in "01" for seed in "012"]
    paths = sorted((RESULTS / FOLDER).glob("*"))
    assert [statement_of(path)["predicate"]["cell"] for path in paths] == [CELL, "main/r1/full"]
    assert [found_of(path)[0] for path in paths] == ["ok", "ok"]

    machine.ran = []
    rerun(CELL)
    assert len(machine.ran) == 3


def test_a_job_that_fails_and_an_unknown_cell_attest_nothing(machine):
    machine.fails = "finetune r0-s2/full"
    done = rerun("--attest", "--key", "key")

    assert done.returncode == 2
    assert "finetune r0-s2/full: run again it failed: no space left" in done.stderr
    assert not (RESULTS / FOLDER).exists()
    assert "rerun main/r0/ful: unknown cell" in rerun(cell="main/r0/ful").stderr


@pytest.mark.parametrize(
    ("more", "word", "says"),
    [
        (0, "ok", "predictions are the same bit by bit"),
        (1, "ok", "other predictions, every cell's mean stays in its interval"),
        (8, "tampered", "main/r0/full: top1_last is 55, was 15, outside of -22.2621 to 52.2621"),
    ],
)
def test_a_deep_audit_runs_the_same_way(machine, more, word, says):
    machine.more = more

    found = [f for f in audit(deep=[CELL]).findings if "run again: " in f.says]

    assert {f.word for f in found} == {word}
    assert len(found) == 3
    assert all(says in f.says for f in found)
