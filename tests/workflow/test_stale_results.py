"""What the records tell of a change: the workflow plans it, and `verify` names the same."""

import hashlib
import os
import shutil
import time
from collections import Counter
from pathlib import Path

import pytest

from folk.cli.recipes_today import recipes_today
from folk.cli.sources_today import sources_today
from folk.cli.workflow import Jobs
from folk.evidence.audit.checks.code import check_code
from folk.evidence.audit.checks.today import check_today
from folk.evidence.audit.subject import Subject
from folk.evidence.core.yaml_model import Document
from folk.evidence.record.schema import read_record
from folk.evidence.study.study import load_study
from folk.stages.table import STAGES
from tests.faults.table import fault
from tests.toy import edit, folk, replace_in
from tests.workflow.conftest import Copy, copy_repository, counts
from tests.workflow.hand_made import PICS

RESULTS = Path("results/mine")
KEPT = RESULTS / "study.yaml"
IMAGE = PICS / "train/a/0.jpg"


def planned(study_file=KEPT):
    """The results, `stage/...`, that the workflow makes again, and what it prints."""
    made_again = []
    jobs = Jobs(Document(study_file), lambda path: path, made_again.append)
    lines = jobs.find_stale()
    return {str(Path(place).parent.relative_to(RESULTS)) for place in jobs._stale}, lines


def accused():
    """The results that `verify` calls stale."""
    read = load_study(KEPT, STAGES)
    recipes = recipes_today(read, KEPT)
    sources = sources_today(read, read.recipe_folder(KEPT))
    subject = Subject(read, KEPT, RESULTS, Path("config/published"), recipes, sources)
    found = [f for f in check_today(subject, edited_study=False) if f.word == "stale"]
    behind = {Path(f.place).stem for f in check_code(subject) if f.place.startswith("folk/stages/")}
    return {str(Path(f.place).parent.relative_to(RESULTS)) for f in found}, behind


def test_a_finished_study_is_not_stale(by_hand):
    assert planned() == (set(), [])
    assert accused() == (set(), set())


def test_a_frozen_study_is_not_stale(by_hand):
    assert folk("freeze", KEPT, "--late").returncode == 0

    assert planned() == (set(), [])


EDITS = {
    "a value of the study": (
        lambda: replace_in(KEPT, "linear.epochs: 3", "linear.epochs: 4"),
        {"probe/folk-s0/frozen", "probe/scratch-s0/frozen"},
    ),
    "a recipe": (
        lambda: replace_in(
            Path("config/recipes/robustness/demo.yaml"), "pixelate, jpeg_compression]", "pixelate]"
        ),
        {"robustness/folk-s0/robust", "robustness/scratch-s0/robust"},
    ),
    "a value of a row": (
        lambda: replace_in(KEPT, "label: FOLK", "label: FOLK\n    set: {optim.epochs: 2}"),
        # The cost is that of the row's recipe, which no file of its own tells.
        {"pretrain/folk-s0", "cost/folk-s0/cost", "report"},
    ),
    "a split": (
        lambda: replace_in(KEPT, "per_class: 1", "per_class: 2"),
        {"split/few"},
    ),
    "what a job reads": (
        lambda: replace_in(KEPT, "recipe: demo-full", "recipe: demo-full, split: few"),
        {"finetune/folk-s0/full", "finetune/scratch-s0/full"},
    ),
    "a title": (lambda: replace_in(KEPT, "A study by hand", "Another title"), {"report"}),
    "the scale": (
        lambda: replace_in(KEPT, "scale: demo", "scale: paper"),
        {"prepare/pics", "split/few", "pretrain/folk-s0", "pretrain/scratch-s0", "report",
         "finetune/folk-s0/full", "finetune/scratch-s0/full", "robustness/folk-s0/robust",
         "robustness/scratch-s0/robust", "probe/folk-s0/frozen", "probe/scratch-s0/frozen",
         "cost/folk-s0/cost"},
    ),
    "a published number": (
        lambda: replace_in(Path("config/published/papers.yaml"), "papers:", "# a remark\npapers:"),
        {"report"},
    ),
    "remarks": (
        lambda: (replace_in(Path("config/recipes/probe/demo.yaml"), "about:", "# why\nabout:"),
                 KEPT.write_text(f"# why\n{KEPT.read_text()}")),
        set(),
    ),
    "where a value is written": (
        lambda: replace_in(KEPT, "per_class: 1", "per_class: 1, seed: 0"), set(),
    ),
    "an image more": (lambda: (PICS / "train/b/9.jpg").write_text("new"), {"prepare/pics"}),
    "an image less": (lambda: (PICS / "val/b/1.jpg").unlink(), {"prepare/pics"}),
    "an image that is a link to nowhere": (
        lambda: (IMAGE.unlink(), IMAGE.symlink_to("nowhere")), {"prepare/pics"},
    ),
    "an image renamed": (lambda: IMAGE.rename(IMAGE.with_name("z.jpg")), {"prepare/pics"}),
    "other bytes of the same number": (
        lambda: IMAGE.write_text(IMAGE.read_text().replace("image", "IMAGE")), {"prepare/pics"},
    ),
    "a touch": (IMAGE.touch, set()),
    "a class without images": (
        lambda: [path.unlink() for path in (PICS / "train/b").iterdir()], {"prepare/pics"},
    ),
    "a folder that is not here any more": (lambda: shutil.rmtree(PICS), set()),
    "the same images elsewhere": (
        lambda: (PICS.rename("elsewhere"), replace_in(KEPT, str(PICS), "elsewhere")), set(),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("change", "expected"), EDITS.values(), ids=EDITS)
def test_the_workflow_makes_again_what_verify_calls_stale(by_hand, change, expected):
    change()

    again, lines = planned()

    assert again == expected == accused()[0]
    assert {line.split(": ")[0] for line in lines} == {f"{RESULTS}/{place}" for place in expected}


@fault("Bytes", "source images that change after they were prepared",
       "`snakemake -n` plans the preparation and all that reads it; `verify` says stale; a "
       "touch alone changes nothing")  # fmt: skip
def test_the_line_names_the_images_that_changed(by_hand):
    (PICS / "train/b/9.jpg").write_text("new")
    (PICS / "val/b/1.jpg").unlink()

    (line,) = planned()[1]

    assert line == (
        f"{RESULTS}/prepare/pics: stale: source files gone since they were read: val/b/1.jpg; "
        "source files added since they were read: train/b/9.jpg"
    )


def test_images_that_were_touched_are_read_once(by_hand, monkeypatch):
    IMAGE.touch()
    read = []

    def sha256_of_all(paths):
        paths = list(paths)
        read.extend(paths)
        return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}

    monkeypatch.setattr("folk.evidence.audit.sources.sha256_of_all", sha256_of_all)

    assert planned() == planned() == (set(), [])
    assert read == [IMAGE]


def test_an_older_image_of_the_same_size_is_seen_once_the_sources_were_noted(by_hand):
    assert planned() == (set(), [])
    IMAGE.write_text(IMAGE.read_text().replace("image", "IMAGE"))
    os.utime(IMAGE, (time.time() - 1e6,) * 2)

    assert planned()[0] == {"prepare/pics"} == accused()[0]


@pytest.mark.parametrize(("stage", "again"), [("probe", True), ("pretrain", False)])
def test_other_code_reruns_or_is_reported_as_the_study_says(by_hand, stage, again):
    place = {"probe": "probe/folk-s0/frozen", "pretrain": "pretrain/folk-s0"}[stage]
    edit(RESULTS / place / "record.json", lambda r: r["code"].update(fingerprint="a" * 64), True)

    found, lines = planned()

    assert found == ({place} if again else set())
    (line,) = lines
    assert line.startswith(f"{RESULTS}/{place}: stale: made by code aaaaaaaa, today's is ")
    assert accused() == (set(), {stage})


@pytest.mark.parametrize("text", ["", "{", "[]", '{"id": 1}', '{"recipe_digest": "a"}'])
def test_a_damaged_record_is_named_and_its_result_stays(by_hand, text):
    record = RESULTS / "pretrain/folk-s0/record.json"
    record.write_text(text)

    assert planned() == (
        set(),
        [f"{record}: unreadable; restore it, or delete it and run its job again"],
    )


def test_a_result_that_lost_a_file_is_named(by_hand):
    lost = RESULTS / "pretrain/folk-s0/encoder.safetensors"
    lost.unlink()

    again, (line,) = planned()

    assert again == set()
    assert line.startswith(f"{lost.parent}: 1 of its files are missing, such as {lost}; ")


def test_an_archive_with_other_bytes_makes_the_preparation_stale(by_hand):
    """The record of an archive, published digest or not, has its size and sha256."""
    from folk.evidence.audit.sources import source_changes

    archive, note = Path("images.tar"), Path("note")
    archive.write_text("images")
    sha256 = hashlib.sha256(b"images").hexdigest()
    entry = {"name": "archive images", "path": "images.tar", "size": 6, "sha256": sha256}
    record = read_record(RESULTS / "prepare/pics/record.json") | {"inputs": [entry]}

    def changes():
        return list(source_changes(record, RESULTS / "prepare/pics", {"images": archive}, note))

    assert changes() == []
    archive.touch()
    assert changes() == []
    for text in ("IMAGES", "more images"):
        archive.write_text(text)
        assert changes() == ["source files changed since they were read: images"]
    assert list(source_changes(record, RESULTS, {}, note)) == []  # not here any more


# What Snakemake then plans, without any metadata of its own.


@pytest.fixture
def copy(hand_made, tmp_path):
    folder = tmp_path / "copy"
    folder.mkdir()
    made = copy_repository(folder)
    for name in ("results", "data", "config/mine.yaml"):
        source = hand_made / name
        (shutil.copytree if source.is_dir() else shutil.copy2)(source, folder / name)
    return Copy(made.folder)


def dry_run(copy, *arguments):
    return counts(copy.snakemake("-n", *arguments, study="config/mine.yaml"))


@pytest.mark.slow
@fault("Services", "a lost `.snakemake`, then an edited recipe",
       "the records tell what is to be made again: the same jobs as with it")  # fmt: skip
def test_without_snakemakes_metadata_an_edit_replans_what_it_changes(copy):
    assert dry_run(copy) == Counter()

    copy.edit("config/mine.yaml", "linear.epochs: 3", "linear.epochs: 4")

    assert dry_run(copy) == Counter({"probe": 2, "report": 1, "track": 1})
    # Only what is asked for: the target does not read the probes.
    target = "results/mine/finetune/folk-s0/full/record.json"
    assert dry_run(copy, "--", target) == Counter()


@pytest.mark.slow
def test_a_frozen_study_has_nothing_to_do(copy):
    assert copy.run("-m", "folk", "freeze", "config/mine.yaml", "--late").returncode == 0

    assert dry_run(copy) == Counter()


@pytest.mark.slow
def test_changed_images_replan_all_that_rests_on_them(copy):
    (copy.folder / IMAGE).write_text("other bytes")

    assert dry_run(copy) == Counter(
        {"prepare": 1, "split": 1, "pretrain": 2, "finetune": 2, "robustness": 2, "probe": 2,
         "cost": 1, "report": 1, "track": 1}
    )  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("lost", "again"),
    [
        ("pretrain/folk-s0",
         {"pretrain": 1, "finetune": 1, "robustness": 1, "probe": 1, "report": 1, "track": 1}),
        ("probe/folk-s0/frozen/record.json", {"probe": 1, "report": 1, "track": 1}),
        ("track", {"track": 1}),
    ],
)  # fmt: skip
@fault("Disk", "the folder of a finished run that is deleted, or lost to a killed `-R`",
       "the next call makes it again, and all that reads it")  # fmt: skip
def test_a_lost_result_is_made_again(copy, lost, again):
    path = copy.folder / RESULTS / lost
    shutil.rmtree(path) if path.is_dir() else path.unlink()

    assert dry_run(copy) == Counter(again)
