"""What is not in a number is said under its table, in every format, and at the foot of the page."""

import dataclasses
import json
import re

from folk.evidence.core.canonical import chain_digest

DIVERGED = {"folk-s1": "diverged in epoch 3; see the log"}


def without(tree, exclude):
    return dataclasses.replace(tree, study=tree.study.model_copy(update={"exclude": exclude}))


def fail(tree, job, number, outcome="failed", error="RuntimeError"):
    folder = tree.results / "failed" / job
    folder.mkdir(parents=True, exist_ok=True)
    record = {"id": str(number) * 64, "outcome": outcome, "error": {"type": error, "message": "x"}}
    (folder / f"record-2026010{number}.failed.json").write_text(json.dumps(record))


def test_the_numbers_of_an_excluded_run_do_not_enter_cells(tree):
    every = tree.cells()["few/folk/a"]

    cells = without(tree, DIVERGED).cells()

    cell = cells["few/folk/a"]
    kept = dict(zip(every.seeds, every.seed_values, strict=True))
    del kept[1]
    assert dict(zip(cell.seeds, cell.seed_values, strict=True)) == kept
    assert cell.n == every.n - 1
    assert cell.value is not None
    assert cell.note == "excluded: folk-s1 (diverged in epoch 3; see the log)"
    assert not any("folk-s1" in parent for parent in cell.parents)
    assert cells["few/mfm/a"].note == ""


def test_a_row_without_any_run_left_has_no_number(tree):
    runs = [run for run, row, _ in tree.study.runs() if row == "folk"]

    cell = without(tree, dict.fromkeys(runs, "wrong data")).cells()["few/folk/a"]

    assert (cell.value, cell.n, cell.seeds) == (None, 0, [])
    assert "wrong data" in cell.note


def test_every_format_counts_excluded_failed_and_interrupted_with_their_reasons(tree):
    text = tree.study_path.read_text()
    tree.study_path.write_text(f"{text}\nexclude: {json.dumps(DIVERGED)}\n")
    fail(tree, "finetune/mfm-s1/few-a", 1)
    fail(tree, "finetune/mfm-s1/few-a", 2)
    fail(tree, "pretrain/folk-s0", 3, "interrupted", "SystemExit")
    fail(tree, "probe/mfm-s0/frozen", 4)

    _, page = without(tree, DIVERGED).render()

    sentences = (
        "Excluded runs: 1 (folk-s1: diverged in epoch 3; see the log).",
        "Jobs that failed: 2 (RuntimeError: x); each completed later.",
        "Jobs that were interrupted: 1 (SystemExit: x); each completed later.",
    )
    for form in ("md", "tex"):
        table = (tree.results / f"tables/few.{form}").read_text()
        assert all(sentence in table for sentence in sentences), table
    section = page[page.index('id="table-few"') : page.index('id="table-frozen"')]
    assert all(sentence in section for sentence in sentences)
    assert "Jobs that failed: 1 " in (tree.results / "tables/frozen.md").read_text()


def test_a_study_in_which_nothing_went_wrong_says_nothing(untouched):
    assert not re.search("Excluded|Jobs that", (untouched.results / "tables/few.md").read_text())


def test_the_foot_of_the_page_holds_the_chain_of_all_records(tree):
    fail(tree, "pretrain/folk-s0", 1)
    places = {path: json.loads(path.read_text())["id"] for path in tree.results.glob("*/**/*.json")
              if path.name == "record.json"}  # fmt: skip
    failed = dict.fromkeys(tree.results.glob("failed/**/*.json"), "1" * 64)

    _, page = tree.render()

    chain = chain_digest(*({p.as_posix(): i for p, i in m.items()} for m in (places, failed)))
    assert chain in page[page.index("<footer") :]
    assert "--check" in page[page.index("<footer") :]


def test_adopted_records_are_counted_and_those_made_again_are_not(tree):
    one, other = sorted(tree.results.glob("finetune/**/record.json"))[:2]
    adopted = [
        {"path": one.as_posix(), "id": json.loads(one.read_text())["id"]},
        {"path": other.as_posix(), "id": "e" * 64},
    ]
    (tree.results / "adopted.json").write_text(json.dumps({"records": adopted}))

    _, page = tree.render()

    assert re.search(r"adopted, not computed here</th><td[^>]*>1 of \d+ records<", page)
