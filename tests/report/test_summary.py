"""The report opens with one screen: what was tested, what came out, and the main comparison."""

import json
import re
import shutil
from html import unescape

import pytest

from folk.evidence.audit.freeze import values_of, write_freeze
from folk.evidence.core.errors import InputError
from folk.evidence.record.failures import record_paths
from folk.evidence.report.drawing import Drawing
from folk.evidence.report.render import render_report
from folk.evidence.report.summary import draw_comparison
from folk.evidence.results.cells import read_cells
from folk.evidence.results.evidence import Evidence
from folk.evidence.results.published import load_published
from folk.evidence.study.study import load_study
from folk.stages.table import STAGES
from tests.workflow.chromium import MISSING, PROGRAM, Chromium


def summary_of(page):
    start = page.index('id="summary"')
    text = re.sub(r"<svg.*?</svg>", "", page[start : page.index("<nav")], flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", text)).split())


def test_the_summary_names_what_was_tested_and_what_came_out(untouched):
    said = summary_of(untouched.page)

    assert "scale demo, below the papers' size" in said
    assert "rows from scratch; MFM; MFM + Com/RCom; FOLK" in said
    assert "seeds 2 in each row, 8 runs" in said
    assert "3 claims – holds here: 2, undecided here: 1" in said
    assert "sign of a difference: +3.33 points (95 %: +0.29 to +6.38); 2 seeds" in said
    assert "+4.00 points (95 %: +0.96 to +7.04); 2 seeds, 3 would decide" in said
    assert "verdict says nothing about ImageNet" in said


def test_the_summary_comes_before_the_tables_and_decided_claims_before_others(untouched):
    page, said = untouched.page, summary_of(untouched.page)

    assert page.index('id="summary"') < page.index('id="results"')
    assert said.index("no gain over training") < said.index("MFM < MFM + Com/RCom < FOLK")


def test_many_claims_are_counted_and_the_first_five_shown(tree):
    text = tree.study_path.read_text()
    more = [
        f"  more-{n}:\n    says: claim {n}\n"
        "    difference: {of: finetune/folk/top1, over: finetune/mfm/top1}\n"
        for n in range(5)
    ]
    tree.study_path.write_text(text + "".join(more))
    study = load_study(tree.study_path, STAGES)

    render_report(study, tree.study_path, tree.results, tree.published, {})

    said = summary_of(tree.page)
    assert "8 claims – holds here: 7, undecided here: 1" in said
    assert "claim 2" in said
    assert "claim 3" not in said
    assert "3 more below" in said


def drawn(tree, summary=None) -> Drawing | None:
    if summary is not None:
        tree.study_path.write_text(f"summary: {summary}\n" + tree.study_path.read_text())
    evidence = Evidence(load_study(tree.study_path, STAGES), tree.results)
    return draw_comparison(evidence, read_cells(tree.results / "cells.parquet"))


def test_the_main_comparison_is_that_of_the_first_tables_first_two_columns(untouched):
    found = drawn(untouched)

    assert found.title == "Full fine-tuning"
    assert found.seen.startswith("top-1 %: from scratch 83.5, interval 77.1 to 89.9; MFM 82.5")
    assert "top-5 %: " in found.seen
    assert "mIoU" not in found.seen


def test_a_study_names_its_main_comparison(tree):
    tree.render()

    found = drawn(tree, "{table: few, columns: [avg]}")

    assert found.title == "Few labels"
    assert found.seen.startswith("AVG: from scratch")
    assert ">AVG<" in found.svg
    assert ">MAX<" not in found.svg


def test_a_table_without_numbers_draws_nothing(tree):
    shutil.rmtree(tree.results / "finetune")

    tree.render()

    assert drawn(tree) is None
    assert 'id="figure-summary"' not in tree.page


def test_every_stage_with_a_history_has_its_curves(tree):
    for run in ("mfm-s0", "mfm-s1", "folk-s0"):
        for evaluation in ("full", "few-a"):
            lines = [{"step": n, "epoch": float(n), "loss": 2.0 / n} for n in range(1, 301)]
            lines += [{"step": n, "epoch": float(n), "top1": n / 400} for n in range(1, 301)]
            text = "".join(json.dumps(line) + "\n" for line in lines)
            (tree.results / "finetune" / run / evaluation / "metrics.jsonl").write_text(text)
    (tree.results / "segment/folk-s0/segment/metrics.jsonl").write_text(
        '{"step": 1, "epoch": 0.5, "loss": 3.0}\n'
    )

    _, page = tree.render()

    names = {path.stem for path in (tree.results / "figures").glob("training*.svg")}
    assert names == {"training", "training-finetune", "training-segment"}
    svg = (tree.results / "figures/training-finetune.svg").read_text()
    for words in ("full, loss", "full, validation top-1 %", "few-a, loss"):
        assert f">{words}<" in svg
    assert "FOLK, full, validation top-1 %: 74.8" in page  # of the last three of 300 epochs
    assert "validation" not in (tree.results / "figures/training-segment.svg").read_text()


def test_a_torn_history_of_an_evaluation_is_named(tree):
    path = tree.results / "finetune/folk-s0/full/metrics.jsonl"
    path.write_text('{"epoch": 1.0, "loss": 1.0}\n{"epoch": 2.0, "lo')

    with pytest.raises(InputError, match=r"full/metrics\.jsonl:2: invalid line of a history"):
        tree.render()


@pytest.mark.slow
@pytest.mark.skipif(PROGRAM is None, reason=MISSING)
def test_the_summary_fits_on_the_first_screen(untouched, tmp_path):
    browser = Chromium(tmp_path / "profile")
    try:
        browser.show(untouched.results / "report.html", 1280, height=800)
        browser.screenshot(tmp_path / "first-screen.png")
        bottom = browser.run("document.querySelector('#summary').getBoundingClientRect().bottom")
        shown = browser.run("document.querySelector('#figure-summary svg').checkVisibility()")
    finally:
        browser.close()

    assert shown
    assert 200 < bottom < 800


def test_the_page_names_the_freeze_its_changes_and_the_claims_that_they_touch(tree):
    values = values_of(tree.study, load_published(tree.published), {})
    write_freeze(tree.results, values, None, late=True)
    text = tree.study_path.read_text()
    tree.study_path.write_text(text.replace("margin: 4.0", "margin: 9.0"))
    study = load_study(tree.study_path, STAGES)

    render_report(study, tree.study_path, tree.results, tree.published, {})

    count, page = len(record_paths(tree.results)), tree.page
    line = "claims.no-gain.equal.margin was 4.0, is 9.0"
    assert f"when {count} records existed; 1 change since" in summary_of(page)
    assert f"<li>{line}</li>" in page[page.index('id="frozen"') :]
    assert f"Changed since the freeze, and its cells exist: {line}" in page
