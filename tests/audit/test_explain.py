"""A cell explains itself, and what was changed behind its back contradicts it."""

import json
from pathlib import Path

import pytest
from rich.console import Console

from folk.evidence.audit.narrate import in_one_line, narrate
from folk.evidence.core.errors import InputError
from folk.evidence.results.published import numbers_file
from tests.audit.conftest import (
    CELLS,
    PUBLISHED,
    RESULTS,
    Toy,
    finetune,
    predict,
    prepare,
    pretrain,
)
from tests.faults.table import fault
from tests.toy import git

FULL = "main/mfm/full"


def said(sentences, *words):
    """The sentences that hold all these words."""
    return [each for each in sentences if all(word in each for word in words)]


def text_of(found, width=80):
    console = Console(width=width, color_system=None)
    with console.capture() as captured:
        console.print(narrate(found))
    return captured.get()


def test_a_cell_names_its_runs_its_formula_and_the_chain_back_to_the_archive(toy):
    found = toy.explain(FULL)

    assert found.holds, found.contradicted
    assert (found.number.value, found.number.printed, found.number.n) == (60.0, "60.0 ± 14.1", 2)
    assert "top1_last in full" in found.number.formula
    assert "bootstrap over images, these seeds " in text_of(found)
    assert [(run.seed, run.value) for run in found.runs] == [(0, 50.0), (1, 70.0)]
    assert [part.derived for run in found.runs for part in run.parts] == [0.5, 0.7]
    assert [job.name for job in found.chain] == [
        "prepare scenes", "pretrain mfm-s0", "finetune mfm-s0/full",
        "pretrain mfm-s1", "finetune mfm-s1/full",
    ]  # fmt: skip
    assert said(found.established, "printed 60.0", "follows from the predictions")
    assert said(found.established, "recipe, code, environment lock")
    assert said(found.established, "images.tar has the published md5")
    assert said(found.not_established, "that the paper prints 83.1", "official code")


def test_each_restart_is_told_with_its_node_and_the_step_that_it_reached(toy):
    found = toy.explain(FULL)

    starts = next(job for job in found.chain if job.name == "pretrain mfm-s0").starts
    assert [(s["node"], s["job_id"], s["reason"], s["last_step"]) for s in starts] == [
        ("node1", "0", "interrupted", 7),
        ("node2", "1", "finished", None),
    ]
    (failure,) = found.failures
    assert failure.name == "pretrain mfm-s0"
    assert failure.completed_later
    assert "node node1" in text_of(found, 200)


def test_a_start_in_another_number_of_processes_is_told_and_no_bits_are_promised(toy):
    found = toy.explain(FULL)

    starts = next(job for job in found.chain if job.name == "pretrain mfm-s0").starts
    assert [(s["why"], s["same_geometry"]) for s in starts] == [
        ("KeyboardInterrupt", False),
        (None, True),
    ]
    assert "2 processes; interrupted (KeyboardInterrupt), got to step 7; other geometry" in text_of(
        found, 300
    )
    assert said(found.not_established, "the last bits of pretrain mfm-s0", "nodes, processes or")


@fault("Services", "results made by an older version of the code, whose records say less",
       "explained; what is not known is said")  # fmt: skip
def test_older_records_without_a_geometry_are_explained(toy):
    (path,) = (p for p in Path("results").glob("**/pretrain/mfm-s0/record.json"))
    text = path.read_text()
    record = json.loads(text)
    for start in (record, *record["restarts"]):
        for key in ("geometry", "why", "slurm_state"):
            start.pop(key, None)
    path.write_text(json.dumps(record))
    try:
        starts = next(j for j in toy.explain(FULL).chain if j.name == "pretrain mfm-s0").starts
    finally:
        path.write_text(text)

    assert [(s["geometry"], s["same_geometry"]) for s in starts] == [(None, True), (None, True)]


def test_a_record_of_a_failure_that_cannot_be_read_is_no_silence(toy):
    (path,) = toy.explainer().chain.failed_paths()
    path.write_text("{}")

    assert said(toy.explain(FULL).contradicted, path.as_posix(), "invalid record")


def test_a_result_without_its_record_has_no_chain_and_says_so(toy):
    (RESULTS / "finetune/mfm-s0/full/record.json").unlink()

    assert said(toy.explain(FULL).contradicted, "finetune/mfm-s0/full/record.json")


def test_the_published_number_comes_with_its_source_and_the_verdict_with_its_rule(toy):
    found = toy.explain(FULL)

    assert found.published.number.source == "their README"
    assert found.published.certainty_means == "read in the official code"
    assert found.number.verdict == "not comparable (scale)"
    assert "smaller than the paper" in found.rule
    assert [claim.name for claim in found.claims] == ["rises"]


def test_the_best_of_several_evaluations_explains_all_of_them(toy):
    found = toy.explain("main/mfm/max")

    assert found.holds
    assert [run.value for run in found.runs] == [60.0, 70.0]
    assert len([part for run in found.runs for part in run.parts]) == 4


def test_a_cell_without_a_run_says_which_is_missing(toy):
    found = toy.explain("main/late/full")

    assert found.holds
    assert found.number.value is None
    assert [part.status for run in found.runs for part in run.parts] == ["not run"]
    assert said(found.established, "no number because late-s0/full")
    assert found.chain == []


def test_a_quoted_number_has_a_source_and_no_chain(toy):
    found = toy.explain("main/dino/full")

    assert found.holds
    assert found.number.quoted
    assert found.runs == []
    assert found.published.number.printed == "83.1"


def test_a_number_without_predictions_is_taken_on_trust(toy):
    best, speed = toy.explain("main/mfm/best"), toy.explain("main/mfm/speed")

    assert best.holds
    assert said(best.not_established, "top1_best of mfm-s0/full, mfm-s1/full", "stated by the job")
    assert said(best.established, "follows from metrics.json")
    assert said(speed.not_established, "images_per_second", "of one machine")


def test_edited_predictions_contradict_the_number(toy):
    predict(RESULTS / "finetune/mfm-s0/full", 20)

    found = toy.explain(FULL)

    assert said(found.contradicted, "metrics.json", "1.0 from the stored predictions")
    assert said(found.contradicted, "predictions.parquet: other bytes than")
    assert not said(found.established, "follows")
    assert in_one_line(found).startswith("CONTRADICTED")
    assert text_of(found).splitlines()[1] == "Contradicted"
    assert toy.explain("main/late/full").holds


def test_an_edited_metric_contradicts_its_record_even_when_nothing_is_hashed(toy):
    path = RESULTS / "finetune/mfm-s0/full/metrics.json"
    path.write_text(path.read_text().replace("0.9", "0.8"))

    found = toy.explain("main/mfm/best", "none")

    assert said(found.contradicted, "record.json has top1_best 0.9, metrics.json has 0.8")
    assert said(found.contradicted, "cells.parquet has value")


def test_a_table_that_was_edited_is_contradicted_by_the_evidence(toy):
    cells = CELLS.read_bytes()
    finetune("mfm-s0", "full", 0, 18)
    toy.tabulate()
    assert toy.explain(FULL).holds
    CELLS.write_bytes(cells)

    found = toy.explain(FULL)

    assert said(found.contradicted, "cells.parquet has value 60.0, the evidence gives 80.0")
    assert said(found.contradicted, "the table was made from")


def test_a_changed_published_number_is_named(toy):
    numbers = numbers_file(PUBLISHED)
    numbers.write_text(numbers.read_text().replace("83.1", "83.9"))

    found = toy.explain(FULL)

    assert said(found.contradicted, "published_value 83.1, config/published gives 83.9")
    assert not said(found.established, "is unchanged")


def test_a_flipped_byte_in_an_encoder_is_found_and_with_shallow_reading_is_said_not_to_be(toy):
    encoder = RESULTS / "pretrain/mfm-s1/encoder.safetensors"
    encoder.write_text("weights of MFM-s1")  # as many bytes

    assert said(toy.explain(FULL).contradicted, "mfm-s1/encoder.safetensors: other bytes")
    unread = toy.explain(FULL, "none")
    assert unread.holds
    assert said(unread.not_established, "only sizes compared", "nothing was hashed")


def test_a_missing_file_of_the_study_contradicts_and_a_missing_archive_does_not(toy):
    Path("images.tar").unlink()

    found = toy.explain(FULL)

    assert found.holds
    assert said(found.not_established, "images.tar: missing")
    (RESULTS / "pretrain/mfm-s0/encoder.safetensors").unlink()
    assert said(toy.explain(FULL).contradicted, "encoder.safetensors: missing")


@pytest.mark.parametrize(
    ("md5", "list_name", "words"),
    [
        (None, "not_established", "no published digest"),
        ("0" * 32, "contradicted", "its md5 differs from the published one"),
    ],
)
def test_an_archive_is_held_to_what_its_makers_publish(toy, md5, list_name, words):
    prepare(md5)
    for run, seed in (("mfm-s0", 0), ("mfm-s1", 1)):
        pretrain(run, seed)
        finetune(run, "full", seed, 10 + 4 * seed)
    toy.tabulate()

    assert said(getattr(toy.explain(FULL), list_name), "images.tar", words)


def test_an_edited_record_and_an_exchanged_encoder_are_named(toy):
    path = RESULTS / "pretrain/mfm-s1/record.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"seed": 5}))
    assert said(toy.explain(FULL).contradicted, "its id does not match its content")

    path.unlink()
    assert said(toy.explain(FULL).contradicted, "missing record")


def test_evaluations_of_two_seeds_cannot_be_swapped(toy):
    folders = [RESULTS / "finetune" / run / "full" for run in ("mfm-s0", "mfm-s1")]
    temp = folders[0].with_name("aside")
    folders[0].rename(temp)
    folders[1].rename(folders[0])
    temp.rename(folders[1])
    toy.tabulate()

    found = toy.explain(FULL)

    assert said(
        found.contradicted,
        "lists an output outside its own folder: results/toy/finetune/mfm-s1/full",
    )


def test_code_and_recipe_of_today_are_set_beside_those_of_then(toy):
    Path("folk/stages/pretrain.py").write_text("# a comment\nSTAGE = 'pretrain'\n")
    assert said(toy.explain(FULL).established, "recipe, code, environment lock")

    Path("folk/stages/pretrain.py").write_text("STAGE = 'other'\n")
    toy.recipe = {"optim": {"epochs": 9}}
    found = toy.explain(FULL)

    assert found.holds
    assert said(found.not_established, "today's code", "pretrain mfm-s0, pretrain mfm-s1")
    assert said(found.not_established, "today's recipe", "edited")
    recipe = found.chain[1].recipe
    assert [(c.key, c.before, c.after) for c in recipe.edited] == [("optim.epochs", 3, 9)]
    assert [(c.key, c.before, c.after) for c in recipe.by_study] == [("optim.epochs", 30, 3)]


def test_uncommitted_changes_are_said_to_be_kept_and_must_be_those_of_the_record(toy):
    git("init", "-q")
    git("add", "folk", "config")
    git("commit", "-q", "-m", "start")
    Path("folk/stages/finetune.py").write_text("STAGE = 'dirty'\n")
    finetune("mfm-s0", "full", 0, 10)
    toy.tabulate()
    diff = RESULTS / "finetune/mfm-s0/full/uncommitted.diff"

    found = toy.explain(FULL)

    assert found.holds, found.contradicted
    assert said(found.not_established, "uncommitted", diff.as_posix())
    assert f"uncommitted changes, kept: {diff}" in text_of(found, 200)
    diff.write_text(diff.read_text().replace("dirty", "clean"))
    assert said(toy.explain(FULL).contradicted, diff.as_posix(), "differ from the record")
    diff.unlink()
    assert said(toy.explain(FULL).contradicted, diff.as_posix(), "are missing")


def test_the_claim_of_a_cell_is_json_with_all_digests(toy):
    claim = json.loads(json.dumps(toy.explain(FULL).as_json(), allow_nan=False))

    assert (claim["format"], claim["cell"], claim["holds"]) == (2, FULL, True)
    ids = [job["id"] for job in claim["chain"] if job["stage"] == "finetune"]
    assert claim["parents"] == ids
    files = [file for job in claim["chain"] for file in job["outputs"]]
    assert all(len(file["sha256"]) == 64 and file["state"] == "same" for file in files)
    assert claim["number"]["unit"] == "%"


def test_the_text_fits_80_columns_and_says_all_sentences(toy):
    found = toy.explain(FULL)
    text = text_of(found)

    assert max(map(len, text.splitlines())) <= 80
    words = " ".join(text.split())
    for sentence in (*found.established, *found.not_established):
        assert " ".join(sentence.replace(" - ", " ").split())[:40] in words


def test_a_wrong_name_suggests_the_nearest(toy: Toy):
    with pytest.raises(InputError, match="did you mean 'main/mfm/full'"):
        toy.explainer().explain("main/mfm/ful")
