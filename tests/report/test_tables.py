"""Tables print what cells.parquet says, in every format, and break in none of them."""

import csv
import io
import re
import shutil

import pytest
from jinja2 import UndefinedError

from folk.evidence.report.escape import html_templates, latex_templates, markdown_templates
from folk.evidence.report.tables import render_csv, render_latex, render_markdown, table_views
from folk.evidence.results.published import load_published
from tests.faults.table import fault

NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])")


def views_of(tree):
    cells = [*tree.cells().values()]
    views = table_views(tree.study, cells, load_published(tree.published))
    return {view.name: view for view in views}, cells


def printed_numbers(cells):
    strings = [s for cell in cells for s in (cell.printed, cell.published_printed or "")]
    return {number for string in strings for number in NUMBER.findall(string)}


def rows_of(markdown):
    return [line for line in markdown.splitlines() if line.startswith("| ")]


@pytest.mark.parametrize("table", ["finetune", "few", "frozen"])
def test_every_number_of_a_markdown_table_stands_in_the_cells(untouched, table):
    views, cells = views_of(untouched)

    body = "\n".join(rows_of(render_markdown(views[table]))[2:])

    assert set(NUMBER.findall(body)) <= printed_numbers(cells)
    assert len(NUMBER.findall(body)) >= 2 * 4 * len(views[table].columns)  # mean and deviation


@pytest.mark.parametrize("table", ["finetune", "few", "frozen"])
def test_every_number_of_a_latex_table_stands_in_the_cells(untouched, table):
    views, cells = views_of(untouched)

    text = render_latex(views[table])
    body = text[text.index(r"\midrule") : text.index(r"\bottomrule")]

    assert set(NUMBER.findall(body)) <= printed_numbers(cells)
    assert len(NUMBER.findall(body)) >= 2 * 4 * len(views[table].columns)


@pytest.mark.parametrize("table", ["finetune", "few", "frozen"])
def test_every_number_of_a_csv_table_stands_in_the_cells(untouched, table):
    views, cells = views_of(untouched)
    by_id = {cell.id: cell for cell in cells}

    rows = list(csv.DictReader(io.StringIO(render_csv(views[table]))))

    assert len(rows) == 4 * len(views[table].columns)
    for row in rows:
        cell = by_id[row["id"]]
        assert (row["mean"], row["std"]) == (cell.printed_mean, cell.printed_std)
        assert (row["low"], row["high"]) == (cell.printed_low, cell.printed_high)
        assert (row["published"], row["verdict"]) == (
            cell.published_printed or "",
            cell.verdict or "",
        )


def test_all_rows_of_a_table_have_the_same_number_of_columns(untouched):
    views, _ = views_of(untouched)

    for view in views.values():
        assert len({line.count("|") for line in rows_of(render_markdown(view))}) == 1
        body = [line for line in render_latex(view).splitlines() if line.endswith(r" \\")]
        assert len({line.count(" & ") for line in body}) == 1


def test_ours_stands_beside_the_published_number_with_its_certainty(untouched):
    views, _ = views_of(untouched)

    text = render_markdown(views["finetune"])

    assert "| FOLK | 89.5 ± 0.7 | 83.4 <sup>†</sup> |" in text
    assert "Mean ± standard deviation over n = 2 seeds." in text
    assert "<sup>†</sup> Published number, paper-text: printed in the main text" in text
    assert "Verdict on every published number: not comparable (scale)." in text


def test_verdicts_that_differ_get_a_column_of_their_own(make_tree):
    tree = make_tree(scale="paper")
    for seed, hits in ((0, 142), (1, 143)):  # 71.0 and 71.5; FOLK prints 71.2
        tree.predict(f"finetune/folk-s{seed}/few-a", hits)
    views, _ = views_of(tree)

    text = render_markdown(views["few"])

    assert "within tolerance" in text
    assert "not reproduced" in text
    assert "Verdict on every" not in text
    assert text.count(" verdict |") == 5


def test_an_empty_cell_is_a_dash_with_its_reason(tree):
    shutil.rmtree(tree.results / "finetune" / "mfm-s1" / "few-c")
    views, _ = views_of(tree)

    text = render_markdown(views["few"])

    assert "— <sup>a</sup>" in text
    assert "<sup>a</sup> No number, because not every run is there. Not run: mfm-s1/few-c." in text


@fault("Config", "LaTeX and Markdown in a label", "shown as it stands in every table")
def test_labels_cannot_break_a_table(make_tree):
    label = r"a|b<script> & $x_1$ \evil{%}"
    views, _ = views_of(make_tree(label=label))

    markdown, latex = render_markdown(views["finetune"]), render_latex(views["finetune"])

    assert r"| a\|b&lt;script&gt; &amp; $x\_1$ \\evil{%} |" in markdown
    assert r"a|b\textless{}script\textgreater{} \& \$x\_1\$ \textbackslash{}evil\{\%\} &" in latex
    rows = list(csv.DictReader(io.StringIO(render_csv(views["finetune"]))))
    assert rows[-1]["method"] == label


def test_a_label_that_a_spreadsheet_would_run_is_made_inert(make_tree):
    views, _ = views_of(make_tree(label="=1+1"))

    assert "'=1+1" in render_csv(views["finetune"])


@pytest.mark.parametrize(
    ("environment", "expression"),
    [
        (html_templates, "{{ %s }}"),
        (markdown_templates, "{{ %s }}"),
        (latex_templates, "<< %s >>"),
    ],
)
def test_a_template_fails_on_what_is_missing_or_not_yet_a_string(environment, expression):
    templates = environment()

    for name in ("nothing", "cell.nothing"):
        with pytest.raises(UndefinedError):
            templates.from_string(expression % name).render(cell={})
    for value in (None, 83.4, True):
        with pytest.raises(TypeError, match="may print strings"):
            templates.from_string(expression % "value").render(value=value)


def test_times_are_marked_as_those_of_one_machine(untouched):
    tables = {path.stem: path.read_text() for path in untouched.results.glob("tables/*.md")}

    assert "Of one machine, and another number on another: images/s." in tables["frozen"]
    assert "Of one machine" not in tables["finetune"]


def test_a_table_says_which_columns_are_better_low(tree):
    tree.rewrite("percent: false}", "percent: false, better: lower}").render()
    tables = {path.name: path.read_text() for path in tree.results.glob("tables/*.[mt]*")}

    assert "Lower is better: images/s." in tables["frozen.md"]
    assert "Lower is better: images/s." in tables["frozen.tex"]
    assert "better" not in tables["finetune.md"]
