"""The report of a whole study: complete, offline, escaped, and honest about what is missing."""

import json
import re
import shutil
from html.parser import HTMLParser

import numpy as np
import pyarrow as pa
import pytest

from folk.evidence.audit.today import RecipeToday
from folk.evidence.core.errors import InputError
from folk.evidence.report.render import render_report
from folk.evidence.results.cells import read_cells
from folk.evidence.results.claims import read_claims
from folk.evidence.study.study import load_study
from folk.stages.table import STAGES
from tests.faults.table import fault

NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])")


class Page(HTMLParser):
    """Collects the text of each cell, links, ids, tags and everything that could load a file."""

    def __init__(self, text):
        super().__init__()
        self.cells, self.ids, self.targets, self.loads, self.tags = {}, [], [], [], []
        self._cell = None
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        known = dict(attrs)
        self.tags.append(tag)
        self.ids += [known["id"]] if "id" in known else []
        if tag == "td":
            self._cell = known.get("data-cell")
        if tag == "a" and known.get("href", "").startswith("#"):
            self.targets.append(known["href"][1:])
        elif tag != "use":
            loads = [known.get(name) for name in ("src", "href", "xlink:href")]
            self.loads += [load for load in loads if load and not load.startswith("data:")]

    def handle_endtag(self, tag):
        if tag == "td":
            self._cell = None

    def handle_data(self, data):
        if self._cell:
            self.cells[self._cell] = self.cells.get(self._cell, "") + data


def test_a_whole_report_is_written(tree):
    written, _ = tree.render()

    names = [path.relative_to(tree.results).as_posix() for path in written]
    tables = [
        f"tables/{t}.{s}" for t in ("finetune", "few", "frozen") for s in ["md", "tex", "csv"]
    ]
    tables.append("tables/numbers.tex")
    figures = ("summary", "claims", "scenes-scenes", "training", "labels", "frozen")
    drawn = [f"figures/{name}.svg" for name in figures]
    claims = ["claims.parquet", "claims.md", "assumptions.md"]
    assert names == ["cells.parquet", *tables, *claims, *drawn, "report.html"]
    assert all(path.stat().st_size > 0 for path in written)


def test_the_same_results_give_the_same_bytes(untouched):
    before = {path: path.read_bytes() for path in untouched.results.rglob("*") if path.is_file()}

    written, _ = untouched.render()

    assert len(written) == 21
    assert {path: path.read_bytes() for path in written} == {p: before[p] for p in written}


def test_every_number_of_the_page_tables_stands_in_the_cells(untouched):
    text = untouched.page
    cells = {cell.id: cell for cell in read_cells(untouched.results / "cells.parquet")}

    shown = Page(text).cells

    assert shown.keys() == cells.keys()
    for name, cell in cells.items():
        allowed = set(NUMBER.findall(f"{cell.printed} {cell.published_printed or ''}"))
        assert set(NUMBER.findall(shown[name])) == allowed, name


def test_the_page_loads_nothing_and_all_its_links_lead_somewhere(untouched):
    page = Page(untouched.page)

    assert page.loads == []
    assert len(page.ids) == len(set(page.ids))
    assert set(page.targets) <= set(page.ids)


def test_behind_each_number_stand_formula_seeds_and_records(untouched):
    text = untouched.page

    start = text.index('id="evidence-few.folk.max"')
    proof = text[start : text.index("</article>", start)]

    assert "mean over seeds of max over few-a, few-b, few-c of top1_last" in proof
    assert "<li>seed 1: 57.0</li>" in proof
    assert 'href="#job-finetune.folk-s1.few-c"' in proof
    assert "<li>paper-text: " in proof
    assert "not comparable (scale)" in proof


def test_behind_each_number_stands_its_bootstrap_and_the_epoch_of_the_published_one(untouched):
    text = untouched.page

    start = text.index('id="evidence-few.folk.max"')
    proof = text[start : text.index("</article>", start)]

    assert re.search(r"bootstrap over images, these seeds \d+\.\d to \d+\.\d<", proof)
    assert "of the best or the last epoch, which is not known" in proof


def test_each_claim_shows_ours_its_interval_what_is_stated_and_how_surely(untouched):
    text = untouched.page

    section = text[text.index('<section id="claims"') : text.index('<section id="figures"')]
    assert (
        section.count("holds here</span><span") == section.count("undecided here</span><span") + 1
    )
    assert "verdict says nothing about ImageNet" in section
    assert "3 seeds in each row would decide it: a chance of 80 %" in section
    assert "+3.33 points" in section
    assert "95 %: −0.04 to +6.04" in section
    assert "+10.7 ± 1.4 points" in section
    assert "computed: worked out from printed numbers" in section
    assert "0 ± 4 points" in section
    assert 'href="#evidence-few.mfm-com.avg"' in section


def test_claims_stand_in_a_markdown_table_whose_rows_are_whole(untouched):
    text = (untouched.results / "claims.md").read_text()

    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert len(rows) == 2 + 3
    assert {line.replace("\\|", "").count("|") for line in rows} == {9}
    assert "MFM &lt; MFM + Com/RCom &lt; FOLK" in text
    assert [row.split(" | ")[-2:] for row in rows[2:]] == [
        ["undecided here", "3 |"], ["holds here", "— |"], ["holds here", "— |"],
    ]  # fmt: skip
    assert "verdict says nothing about ImageNet" in text


def test_a_study_without_claims_says_so(tree):
    text = tree.study_path.read_text()
    tree.study_path.write_text(text[: text.index("claims:")])
    study = load_study(tree.study_path, STAGES)

    render_report(study, tree.study_path, tree.results, tree.published, {})

    assert "This study makes no claim." in (tree.results / "claims.md").read_text()
    assert read_claims(tree.results / "claims.parquet") == []
    assert 'id="claims"' not in tree.page


def test_a_quoted_row_stands_in_every_form_without_a_verdict(tree):
    text = tree.study_path.read_text()
    quoted = (
        '    context:\n      ibot: {label: "i|BOT & Co", cells: {top1: folk-t1-ibot-1600-vitb}}\n'
    )
    tree.study_path.write_text(text.replace("  few:\n    title", f"{quoted}  few:\n    title"))
    study = load_study(tree.study_path, STAGES)

    render_report(study, tree.study_path, tree.results, tree.published, {})

    page = Page(tree.page)
    assert "".join(page.cells["finetune/ibot/top1"].split()) == "84.0†quoted"
    assert tree.page.count('<td class="nothing"></td>') == 2
    assert "each of the 44 numbers is there" in tree.page
    assert set(page.targets) <= set(page.ids)
    markdown = (tree.results / "tables" / "finetune.md").read_text()
    assert r"| *i\|BOT &amp; Co* | quoted | 84.0 <sup>†</sup> | | |" in markdown
    assert "Quoted, neither run nor judged here: i" in markdown
    latex = (tree.results / "tables" / "finetune.tex").read_text()
    assert r"\textit{i|BOT \& Co} & quoted & 84.0\tnote{\dag{}} &  &  \\" in latex
    assert latex.count(r"\midrule") == 2


def test_assumptions_have_a_page_with_their_alternatives(tree):
    others = {"filter.thresholds": ["0.1 | 0.2", False]}
    recipes = {
        ("pretrain", row): RecipeToday("recipe.yaml", {}, {}, None, None, others)
        for row in tree.study.encoders
    }

    render_report(tree.study, tree.study_path, tree.results, tree.published, recipes)

    text = (tree.results / "assumptions.md").read_text()
    assert text.index("## pretrain") < text.index("## finetune")
    assert (
        "| filter.thresholds | 0.005, 0.01, 0.05 | three values named by a reviewer; drawn "
        r"uniformly | 0.1 \| 0.2, no | folk, mfm-com | folk, mfm-com | finetune, few, frozen |"
    ) in text
    assert "<td>0.1 | 0.2, no</td>" in tree.page


@fault(
    "Hostile input",
    "HTML or a script in titles, labels or names of classes",
    "shown as text in the page",
)
@fault("Config", "HTML in titles, labels and classes", "shown as it stands, never obeyed")
def test_markup_in_titles_labels_and_class_names_is_shown_not_obeyed(make_tree):
    evil = "<script>alert(1)</script>"
    tree = make_tree(title=f"T {evil}", label=f"L {evil}")
    tree.prepare([f"{i} {evil}" for i in range(5)])

    _, text = tree.render()

    assert evil not in text
    assert "T &lt;script&gt;alert(1)" in text
    assert "L &lt;script&gt;alert(1)" in text
    assert "3 &lt;script&gt;alert(1)" in text
    assert Page(text).tags.count("script") == 1


def test_assumptions_are_listed_once_and_under_the_tables_that_depend_on_them(untouched):
    text = untouched.page

    section = text[text.index('id="assumptions"') : text.index('id="failed"')]
    assert section.count("filter.thresholds = 0.005, 0.01, 0.05") == 1
    assert "<td>folk, mfm-com</td><td>folk, mfm-com</td>" in section  # recipes and rows
    results = text[text.index('id="results"') : text.index('id="figures"')]
    assert results.count("filter.thresholds") == 3
    assert results.count("optim.layer_decay = 0.8") == 3  # frozen shows the speed of `full`


def test_what_failed_is_said_with_its_reason_and_whether_it_completed_later(tree):
    shutil.rmtree(tree.results / "finetune" / "mfm-s1" / "few-c")
    for job in ("finetune/mfm-s1/few-c", "pretrain/folk-s0"):
        work = tree.results / "failed" / job
        work.mkdir(parents=True)
        error = {"type": "FloatingPointError", "message": "loss is not finite at step 7"}
        record = {"outcome": "failed", "error": error, "started": "2026-01-01T00:00:00Z"}
        (work / "record-20260101.failed.json").write_text(json.dumps(record))

    _, text = tree.render()

    section = text[text.index('id="failed"') : text.index('id="reproduce"')]
    assert "3 of 44 numbers are missing." in section
    assert "FloatingPointError: loss is not finite at step 7" in section
    assert re.search(r"finetune/mfm-s1/few-c</td>.*<td>not completed</td>", section)
    assert re.search(r"pretrain/folk-s0</td>.*<td>completed</td>", section)


def test_a_complete_study_says_that_nothing_failed(untouched):
    assert "Nothing: no job failed, and each of the 44 numbers is there." in untouched.page


def test_the_foot_of_the_page_holds_digests_and_the_commit(untouched):
    text = untouched.page

    foot = text[text.index("<footer") :]
    assert "c0ffee" in foot
    assert "ab" * 32 in foot
    assert len(re.findall(r">[0-9a-f]{64}<", foot)) == 7


def save_examples(tree, run, names, seed=0):
    rng = np.random.default_rng(seed)
    keep = rng.random((len(names), 4, 16, 16)) > 0.5
    np.savez(
        tree.results / "pretrain" / run / "examples.npz",
        images=np.random.default_rng(7).integers(0, 255, (4, 16, 16, 3), dtype=np.uint8),
        keep=keep,
        filtered=rng.integers(0, 255, (len(names), 4, 16, 16, 3), dtype=np.uint8),
        reconstructed=rng.integers(0, 255, (len(names), 4, 16, 16, 3), dtype=np.uint8),
        names=np.array(names, dtype=np.str_),
    )


def test_filters_that_rows_share_are_drawn_once(tree):
    save_examples(tree, "scratch-s0", [])
    save_examples(tree, "mfm-s0", ["low-pass", "high-pass"])
    save_examples(tree, "mfm-com-s0", ["Com 0.01", "RCom 0.01"])
    save_examples(tree, "folk-s0", ["Com 0.01", "RCom 0.01"])

    written, _ = tree.render()

    svg = (tree.results / "figures" / "filters.svg").read_text()
    assert tree.results / "figures" / "filters.svg" in written
    assert [svg.count(f">{n}<") for n in ("low-pass", "Com 0.01", "RCom 0.01")] == [1, 1, 1]


def test_two_filters_of_one_name_are_told_apart_by_their_row(tree):
    save_examples(tree, "mfm-com-s0", ["Com 0.01"], seed=0)
    save_examples(tree, "folk-s0", ["Com 0.01"], seed=1)

    tree.render()

    svg = (tree.results / "figures" / "filters.svg").read_text()
    assert ">Com 0.01<" in svg
    assert ">Com 0.01 (FOLK)<" in svg


def test_each_method_completes_two_sides_of_its_filter(tree):
    save_examples(tree, "scratch-s0", [])
    save_examples(tree, "mfm-s0", ["low-pass", "high-pass"])
    save_examples(tree, "folk-s0", [f"{side} {t}" for t in (1, 2, 3) for side in ("Com", "RCom")])

    tree.render()

    svg = (tree.results / "figures" / "completed.svg").read_text()
    names = ("MFM, low-pass", "MFM, high-pass", "FOLK, Com 2", "FOLK, RCom 2")
    assert [svg.count(f">{name}<") for name in names] == [1, 1, 1, 1]
    assert "FOLK, Com 1" not in svg
    assert "from scratch" not in svg


def test_a_figure_says_what_is_to_be_seen_to_those_who_do_not_see_it(tree):
    save_examples(tree, "mfm-s0", ["low-pass"])

    _, page = tree.render()

    labels = re.findall(r'<svg [^>]*role="img" aria-label="([^"]+)"', page)
    assert len(labels) == page.count("<figure ") == 9
    (energy,) = [label for label in labels if label.startswith("How much each filter keeps")]
    assert re.search(r"low-pass, \d\d\.\d % and \d\d\.\d %", energy)
    assert any("FOLK with 1400 labels, 89.5 %" in label for label in labels)


def test_a_mask_for_each_color_is_not_measured_by_that_of_the_first(tree):
    save_examples(tree, "mfm-s0", ["low-pass"])
    save_examples(tree, "folk-s0", ["Com 0.01"], seed=1)
    recipe = "method: {filter: {kind: com-rcom, mask_channels: per_channel}}\n"
    (tree.results / "pretrain" / "folk-s0" / "recipe.yaml").write_text(recipe)

    _, page = tree.render()

    assert ">Com<" not in (tree.results / "figures" / "energy.svg").read_text()
    assert "FOLK" not in (tree.results / "figures" / "completed.svg").read_text()
    assert "Not drawn: How much each filter keeps (FOLK: a mask for each color" in page


@pytest.mark.parametrize("content", [b"", b"no arrays", b"PK\x03\x04 torn"])
def test_broken_examples_are_refused(tree, content):
    (tree.results / "pretrain" / "mfm-s0" / "examples.npz").write_bytes(content)

    with pytest.raises(InputError, match=r"examples\.npz: invalid examples"):
        tree.render()


@fault(
    "Bytes",
    "a metrics.json that its predictions contradict",
    "refused, both numbers are named; no part of the report is written",
)
def test_nothing_is_written_when_a_number_is_contradicted(tree):
    (tree.results / "finetune" / "folk-s0" / "full" / "metrics.json").write_text(
        '{"top1_last": 0.999, "top5_last": 0.999, "images_per_second": 1.0, "num_train": 5}'
    )

    with pytest.raises(InputError, match=r"expected top1_last .*, got"):
        tree.render()

    assert not (tree.results / "report.html").exists()
    assert not (tree.results / "cells.parquet").exists()


def test_a_data_set_whose_images_have_no_class_is_not_drawn_by_class(tree):
    shard = tree.results / "prepare/scenes/shards/train-00000.arrow"
    with pa.ipc.open_file(shard) as file:
        table = file.read_all()
    labels = pa.array([-1] * table.num_rows, pa.int32())
    table = table.set_column(table.column_names.index("label"), "label", labels)
    with pa.ipc.new_file(shard, table.schema) as writer:
        writer.write_table(table)

    written, page = tree.render()

    assert not (tree.results / "figures/scenes-scenes.svg").exists()
    assert written[-1].name == "report.html"
    assert "Images of the data set scenes" not in page
