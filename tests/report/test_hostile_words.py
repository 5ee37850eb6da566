"""Words that somebody else wrote are shown in page and tables, and obeyed nowhere."""

import json
import re

import pytest

from folk.evidence.report.render import render_report
from folk.evidence.study.study import load_study
from folk.stages.table import STAGES
from tests.faults.table import fault
from tests.report.typeset import needs_latex, typeset_tables

HTML = "<script>alert(1)</script><img src=x onerror=alert(1)>"
MARKDOWN = "[x](javascript:alert(1)) | ![y](http://z) `c`"
LATEX = r"\input{/etc/passwd} $x^2$ % & #1 ~"
EVIL = f"{HTML} {MARKDOWN} {LATEX}"


@pytest.fixture
def hostile(make_tree):
    """A tree with such words in every place where words of others stand."""
    tree = make_tree(title=EVIL, label=EVIL)
    text = tree.study_path.read_text()
    text = text.replace("label: linear %", f"label: {json.dumps(EVIL)}")
    text = text.replace("says: no gain over training from scratch", f"says: {json.dumps(EVIL)}")
    tree.study_path.write_text(text)
    tree.prepare([f"{number} {EVIL}" for number in range(5)])
    run = tree.results / "pretrain/folk-s0"
    (run / "recipe.yaml").write_text(
        f"optim: {json.dumps({'x': EVIL})}\nassume: {json.dumps({'optim.x': EVIL})}\n"
    )
    record = json.loads((run / "record.json").read_text())
    record["code"]["commit"] = record["environment"]["lock_sha256"] = EVIL
    (run / "record.json").write_text(json.dumps(record))
    lines = [{"step": n, "epoch": n / 4, f"loss/{EVIL}": 1.0} for n in range(4)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    failed = tree.results / "failed/probe/folk-s0/frozen"
    failed.mkdir(parents=True)
    error = {"type": EVIL, "message": EVIL}
    said = {"id": EVIL, "outcome": EVIL, "error": error, "started": EVIL}
    (failed / "record-2026.failed.json").write_text(json.dumps(said))
    study = load_study(tree.study_path, STAGES)
    render_report(study, tree.study_path, tree.results, tree.published, {})
    return tree


@fault(
    "Hostile input",
    "HTML, Markdown or LaTeX in the words of a study, a recipe, a record, a history or an error",
    "shown in page, figures and tables as it is written; obeyed nowhere",
)
def test_words_of_others_are_shown_and_not_obeyed(hostile):
    page = hostile.page
    assert "&lt;script&gt;alert(1)" in page
    assert page.count("<script") == 1  # the page's own
    assert "<img src=x" not in page
    assert not re.search(r"href=[\"']?\s*javascript:", page)
    for path in (hostile.results / "figures").glob("*.svg"):
        assert "<script" not in path.read_text(), path
    for path in (*hostile.results.glob("*.md"), *(hostile.results / "tables").glob("*.md")):
        text = path.read_text()
        assert "<script" not in text, path
        assert not re.search(r"(?<!\\)\]\(", text), path  # a link
    for path in (hostile.results / "tables").glob("*.tex"):
        text = path.read_text().rpartition("\\fi\n")[2]  # the macros' own head has an \input
        assert r"\input" not in text, path
        has_words = path.name != "numbers.tex"
        assert (r"\textbackslash{}input\{/etc/passwd\}" in text) == has_words, path


@needs_latex
def test_latex_prints_words_of_others_as_they_are_written(hostile, tmp_path_factory):
    pdf, complaints = typeset_tables(tmp_path_factory.mktemp("paper"), hostile.results / "tables")

    assert complaints == ""
    assert b"etc/passwd" in pdf
    assert b"root:" not in pdf
