"""A freeze states what a study claimed before its first record, and what changed since."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

from folk.cli.recipes_today import recipes_today
from folk.evidence.audit.freeze import freeze_path, read_freeze, since_freeze, values_of
from folk.evidence.audit.seal import digest_of, write_seal
from folk.evidence.audit.today import RecipeToday
from folk.evidence.report.claim_views import claim_views, render_claims
from folk.evidence.results.cells import cells_of, collect_cells
from folk.evidence.results.claims import judge_claims
from folk.evidence.results.published import load_published
from folk.evidence.study.study import load_study
from folk.stages.table import STAGES
from tests.audit import many_runs
from tests.audit.conftest import NUMBERS, PUBLISHED, RESULTS, STUDY, finetune, prepare, scaffold
from tests.audit.test_explain_claim import ask, text_of
from tests.toy import edit, folk, git, replace_in

TOY = Path("config/toy.yaml")
FREEZE = freeze_path(RESULTS)
CLAIMS = """\
  gain: {says: a point, difference: {of: main/mfm/full, over: main/mfm/max}, published: gain}
  same: {says: no difference, equal: {of: main/mfm/full, to: main/mfm/max, margin: 0.5}}
"""
GAIN = """\
  - {id: gain, paper: mfm, table: Table 1, row: ours, column: gain, metric: top1, unit: points,
     printed: "1.0", value: 1.0, margin: 0.2, certainty: code, source: their README}
  - {id: other, paper: mfm, table: Table 9, row: ours, column: top-1, metric: top1, unit: "%",
     printed: "9.0", value: 9.0, margin: 0.2, certainty: code, source: their README}
"""


@pytest.fixture
def asked(tmp_path, monkeypatch):
    """A study that has only been written."""
    monkeypatch.chdir(tmp_path)
    scaffold(STUDY + CLAIMS, NUMBERS + GAIN)


def measure(run="mfm-s0"):
    """Make the data, if there are none, and one number of the row `mfm`."""
    if not (RESULTS / "prepare").exists():
        prepare(None)
    place = RESULTS / f"pretrain/{run}/encoder.safetensors"
    place.parent.mkdir(parents=True)
    place.write_text(f"weights of {run}")
    finetune(run, "full", int(run[-1]), 12)


def since(recipes=None):
    study, published = load_study(TOY, STAGES), load_published(PUBLISHED)
    recipes = recipes_today(study, TOY) if recipes is None else recipes
    return since_freeze(study, RESULTS, published, recipes)


def frozen(*options):
    done = folk("freeze", TOY, *options)
    assert done.returncode == 0, done.stderr
    return done


def test_a_study_is_frozen_before_its_first_record_and_the_freeze_has_all_that_it_claims(asked):
    said = " ".join(frozen().stderr.split())

    freeze = read_freeze(RESULTS)
    assert freeze.records == 0
    assert freeze.values["study"]["claims"]["same"]["equal"]["margin"] == 0.5
    assert freeze.values["published"]["gain"]["value"] == 1.0
    assert "other" not in freeze.values["published"]
    assert "prepare/scenes" in freeze.values["recipes"]
    assert freeze.power is None  # below the papers' size
    assert "before the first record; no changes since; claims 3, published 2, recipes 1" in said


def test_a_study_that_did_not_change_keeps_its_freeze_and_a_changed_one_is_frozen_anew(asked):
    frozen()
    first = FREEZE.read_bytes()
    replace_in(TOY, "title: Toy", "title: Toy # as before")
    frozen()
    assert FREEZE.read_bytes() == first

    replace_in(TOY, "margin: 0.5", "margin: 0.4")
    frozen()

    assert read_freeze(RESULTS).values["study"]["claims"]["same"]["equal"]["margin"] == 0.4


def test_after_the_first_record_a_freeze_needs_a_word_and_states_the_records(asked):
    measure()

    refused = folk("freeze", TOY)

    assert (refused.returncode, FREEZE.exists()) == (2, False)
    assert "2 records exist, so it is too late" in refused.stderr
    assert "when 2 records existed; no changes since" in frozen("--late").stderr
    assert read_freeze(RESULTS).records == 2


def test_an_unfinished_and_a_failed_job_are_records_too(asked):
    for place in ("work/pretrain/a/record.open.json", "failed/pretrain/b/record-1.failed.json"):
        (RESULTS / place).parent.mkdir(parents=True)
        (RESULTS / place).write_text("{}")

    assert "2 records exist" in folk("freeze", TOY).stderr


def test_a_frozen_study_with_records_is_not_frozen_again_with_any_word(asked):
    frozen()
    measure()
    frozen()  # nothing changed
    before = FREEZE.read_bytes()
    replace_in(TOY, "margin: 0.5", "margin: 5.0")

    for words in ([], ["--late"]):
        done = folk("freeze", TOY, *words)
        assert done.returncode == 2
        assert "2 records exist: it stays as it is" in done.stderr
    assert FREEZE.read_bytes() == before


@pytest.mark.parametrize(
    ("file", "old", "new", "line"),
    [
        (TOY, "margin: 0.5", "margin: 5.0", "claims.same.equal.margin was 0.5, is 5.0"),
        (TOY, "  same: {says: no", "  like: {says: no", "claims.like is new: no difference"),
        (TOY, "  same: {says: no", "  like: {says: no", "claims.same is gone: no difference"),
        (TOY, "seeds: [0, 1]", "seeds: [0, 1, 2]", "encoders.mfm.seeds was [0, 1], is [0, 1, 2]"),
        (TOY, "MAX, evaluations: [full, few]", "MAX, evaluations: [few]", "evaluations was"),
        (TOY, "claims:", "exclude: {mfm-s1: diverged}\nclaims:", "exclude.mfm-s1 is new"),
        (TOY, "    published: {mfm/full: paper-full}\n", "", "mfm/full was paper-full, is nothing"),
        (PUBLISHED / "numbers.csv", "1.0,1.0,0.2", "1.0,1.0,0.9", "gain.margin was 0.2, is 0.9"),
    ],
)  # fmt: skip
def test_whatever_is_changed_of_what_was_frozen_is_a_line(asked, file, old, new, line):
    frozen()
    replace_in(file, old, new)

    done = folk("freeze", TOY, "--check")

    assert done.returncode == 1
    assert line in done.stderr


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (TOY, "title: Toy", "resources: {report: {mem_mb: 9}}\ntitle: Toy"),
        (TOY, "title: Toy", "code_change: {default: report}\ntitle: Toy"),
        (TOY, "scale: demo", "# a comment\nscale:   demo"),
        (TOY, "margin: 0.5}}", "margin: 0.5}, source: null}"),
        (PUBLISHED / "numbers.csv", "9.0,9.0,0.2", "9.0,9.0,0.9"),
    ],
)
def test_what_decides_no_number_and_no_verdict_of_the_study_is_no_change(asked, file, old, new):
    frozen()
    replace_in(file, old, new)

    assert folk("freeze", TOY, "--check").returncode == 0


def test_a_recipe_that_was_changed_is_named(asked):
    frozen()
    other = {("prepare", "scenes"): RecipeToday("a.yaml", {"a": 1}, {}, None, None, {})}

    assert since().changes == []
    assert since(other).changes == ["the recipe of prepare/scenes has other values"]


def test_a_claim_that_was_changed_is_marked_once_it_has_a_cell(asked):
    frozen()
    replace_in(TOY, "margin: 0.5", "margin: 5.0")
    replace_in(PUBLISHED / "numbers.csv", "1.0,1.0,0.2", "1.0,1.0,0.9")
    replace_in(TOY, "rises: {says: the best", "rises: {says: THE best")
    replace_in(
        TOY, "order: [main/mfm/full, main/mfm/max]", "order: [main/late/full, main/late/max]"
    )
    assert since().claims == {}

    measure()

    assert since().claims == {
        "gain": "published.gain.margin was 0.2, is 0.9",
        "same": "claims.same.equal.margin was 0.5, is 5.0",
    }
    assert len(since().changes) == 4


def test_the_report_marks_the_claim_and_counts_the_changes(asked):
    frozen()
    replace_in(TOY, "margin: 0.5", "margin: 5.0")
    measure()
    study, published = load_study(TOY, STAGES), load_published(PUBLISHED)
    cells = cells_of(collect_cells(study, RESULTS, published))
    views = claim_views(study, judge_claims(study, cells, published), published, since())

    assert [view.id for view in views if view.changed] == ["same"]
    assert "**Changed since the freeze, and its cells exist: claims.same.equal.margin was" in (
        render_claims(study, views)
    )
    assert since().in_words.endswith("before the first record; 1 change since")


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda f: f.update(records=7), "its digest does not match: it was edited"),
        (lambda f: f["values"]["study"].update(title="x"), "its digest does not match"),
        (lambda f: (f.update(study="x"), f.update(digest=digest_of(f))), "freeze of another study"),
        (lambda f: f.update(format=9), "expected format 1"),
        (lambda f: (f.update(values={}), f.update(digest=digest_of(f))), "expected a key 'study'"),
        (lambda f: f.pop("power"), "power: "),
    ],
)
def test_a_freeze_that_was_edited_is_no_freeze(asked, change, says):
    frozen()
    edit(FREEZE, change)

    for words in (["--check"], []):
        done = folk("freeze", TOY, *words)
        assert done.returncode == 2
        assert says in done.stderr


def test_an_attached_time_stamp_must_name_the_freeze_and_what_is_not_checked_is_said(asked):
    frozen()
    assert "ots" not in folk("freeze", TOY, "--check").stderr
    proof, digest = FREEZE.with_name("freeze.json.ots"), hashlib.sha256(FREEZE.read_bytes())
    proof.write_bytes(b"\x00OpenTimestamps" + digest.digest() + b"\x08")

    good = folk("freeze", TOY, "--check")
    assert good.returncode == 0
    assert hashlib.sha256(proof.read_bytes()).hexdigest() in good.stderr
    assert "who made it and when is not checked: `ots verify`" in good.stderr

    proof.write_bytes(b"\x00OpenTimestamps" + bytes(32))
    bad = folk("freeze", TOY, "--check")
    assert bad.returncode == 1
    assert "freeze.json.ots (sha256" in bad.stderr
    assert "DOES NOT NAME" in bad.stderr


@pytest.mark.skipif(shutil.which("ssh-keygen") is None, reason="needs ssh-keygen")
def test_a_freeze_is_signed_as_a_seal_is(asked):
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "key"], check=True)
    Path("signers").write_text(f"lab@example.org {Path('key.pub').read_text()}")
    frozen()
    unsigned = folk("freeze", TOY, "--check", "--signers", "signers")
    assert unsigned.returncode == 1
    assert "freeze.json.sig: missing; the freeze is not signed" in unsigned.stderr

    frozen("--sign", "key")
    assert "lab@example.org" in frozen("--check", "--signers", "signers").stderr

    replace_in(TOY, "margin: 0.5", "margin: 5.0")
    frozen()
    assert not FREEZE.with_name("freeze.json.sig").exists()


def freeze_as_asked(toy):
    """Freeze the study with the recipes that its explainer has."""
    assert folk("freeze", TOY, "--late").returncode == 0
    now, recipes = load_study(TOY, STAGES), toy.explainer().today.recipes
    forge(values=values_of(now, load_published(PUBLISHED), recipes))


def test_a_claim_says_whether_it_was_frozen(toy):
    assert ask(toy).frozen == "no"
    assert any("the study was not frozen" in line for line in ask(toy).not_established)

    freeze_as_asked(toy)
    found = ask(toy)
    assert "records existed; this claim is as it was" in found.frozen
    assert any("it is the claim that was frozen" in line for line in found.established)
    assert any("noted by its own machine" in line for line in found.not_established)

    measures = "full, evaluation: full, metric: top1_last"
    replace_in(TOY, measures, measures.replace("last", "best"))
    toy.tabulate()
    found = ask(toy)
    assert "its words are as they were; 1 change of the study since" in found.frozen
    assert not any("frozen" in line for line in found.established)
    assert any("1 change of the study since" in line for line in found.not_established)

    replace_in(TOY, "order: [main/mfm/full, main/mfm/max]", "order: [main/mfm/max, main/mfm/full]")
    toy.tabulate()
    found = ask(toy)
    assert "changed since, and its cells exist: claims.rises.order was" in found.frozen
    assert found.holds  # it follows from its cells; that it is late is for the reader to weigh
    assert "changed since, and its cells exist" in " ".join(text_of(found).split())

    edit(FREEZE, lambda f: f.update(records=0))
    assert any("it was edited" in line for line in ask(toy).contradicted)


@pytest.fixture
def audited(study):
    """A finished, sealed study that was frozen before its first record, by its own account."""
    assert folk("freeze", TOY, "--late").returncode == 0
    now = load_study(TOY, STAGES)
    values = values_of(now, load_published(PUBLISHED), many_runs.recipes(now))
    forge(frozen="2001-01-01T00:00:00.000000Z", records=0, values=values)
    write_seal(now, TOY, RESULTS)


def forge(**changes):
    edit(FREEZE, lambda f: (f.update(changes), f.update(digest=digest_of(f))))


def found():
    """The findings of `verify` on the freeze, and those that fail."""
    lines = [f for f in many_runs.audit().findings if FREEZE.name in f.place]
    return {(f.word, f.wrong): f.says for f in lines}


def test_verify_passes_a_frozen_study_and_lists_changes_as_a_remark(audited):
    assert [f for f in many_runs.audit().findings if f.wrong] == []
    says = "frozen on 2001-01-01, before the first record"
    assert found() == {("ok", False): f"{says}; no changes since"}

    replace_in(TOY, "title: Many runs", "title: Few runs")

    line = f"{says}; 1 change since; title was Many runs, is Few runs"
    assert found() == {("stale", False): line}


@pytest.mark.parametrize(
    ("lie", "says"),
    [
        (lambda: edit(FREEZE, lambda f: f.update(records=1)), "it was edited"),
        (lambda: forge(study="other"), "the freeze of another study, 'other'"),
        (lambda: forge(frozen="2999-01-01T00:00:00.000000Z"), "0 records, but 9 jobs had ended"),
        (lambda: FREEZE.with_name("freeze.json.tsr").write_bytes(b"0"), "DOES NOT NAME"),
    ],
)
def test_verify_names_a_freeze_that_is_not_what_it_says(audited, lie, says):
    lie()

    assert says in found()["tampered", True]


def test_verify_compares_with_the_committed_freeze(audited):
    git("init", "-q")
    git("add", "-f", FREEZE)
    git("commit", "-qm", "freeze")
    before = FREEZE.read_bytes()

    forge(frozen="2001-01-02T00:00:00.000000Z")
    assert found()["stale", True] == "not the freeze of 2001-01-01 that was committed; commit it"
    assert "that was committed; commit it" in folk("freeze", TOY, "--check").stderr
    forge(records=7)
    assert "not the freeze of 2001-01-01" in found()["tampered", True]
    FREEZE.unlink()
    assert "committed, but not there; restore it from git" in found()["missing", True]
    assert "committed, but not there" in folk("freeze", TOY, "--late").stderr
    FREEZE.write_bytes(before)
    assert [f for f in many_runs.audit().findings if f.wrong] == []


def test_explain_compares_with_the_committed_freeze(toy):
    freeze_as_asked(toy)
    git("init", "-q")
    git("add", "-f", FREEZE)
    git("commit", "-qm", "freeze")
    assert ask(toy).holds

    forge(frozen="2001-01-01T00:00:00.000000Z")
    (line,) = ask(toy).contradicted
    assert line.startswith(f"{FREEZE}: not the freeze of ")
    FREEZE.unlink()
    assert ask(toy).contradicted == [f"{FREEZE}: committed, but not there; restore it from git"]
