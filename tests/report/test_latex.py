"""A LaTeX table holds together, and every number of ours has a key that leads to its records."""

import re
from pathlib import Path

import pytest

from folk.evidence.report.escape import latex
from folk.evidence.report.tables import render_latex, table_views
from folk.evidence.results.published import load_published
from tests.faults.table import fault

TABLES = ("finetune", "few", "frozen")
ESCAPED = re.compile(r"\\[\\&%$#_{}]")


def texts(tree):
    cells = [*tree.cells().values()]
    views = table_views(tree.study, cells, load_published(tree.published))
    return {view.name: render_latex(view) for view in views}, cells


def keys_used(text):
    body = text[text.index(r"\midrule") : text.index(r"\bottomrule")]
    return re.findall(r"\\tnote\{(?:[a-z]+,)?([A-Z]+[0-9]+)\}", body)


def keys_told(text):
    return re.findall(r"\\textsuperscript\{([A-Z]+[0-9]+)\}\\texttt\{([^,}]*), ([^}]*)\}", text)


@pytest.mark.parametrize("table", TABLES)
def test_braces_and_environments_are_balanced(untouched, table):
    text = texts(untouched)[0][table]

    depth = 0
    for character in ESCAPED.sub("", text):
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
    open_ = []
    for word, name in re.findall(r"\\(begin|end)\{(\w+)\}", text):
        if word == "begin":
            open_.append(name)
        else:
            assert open_.pop() == name
    assert open_ == []


@pytest.mark.parametrize("table", TABLES)
def test_each_number_has_a_key_that_is_told_once_with_its_cell_and_records(untouched, table):
    written, cells = texts(untouched)
    by_id = {cell.id: cell for cell in cells if cell.table == table}

    told = keys_told(written[table])

    assert len(keys_used(written[table])) == len(by_id)
    assert sorted(keys_used(written[table])) == sorted(key for key, _, _ in told)
    assert {id_ for _, id_, _ in told} == by_id.keys()
    for _, id_, digests in told:
        assert digests.split() == list(dict.fromkeys(i[:8] for i in by_id[id_].parent_ids))


def test_a_key_is_the_place_of_its_number(untouched):
    text = texts(untouched)[0]["few"]

    told = {id_: key for key, id_, _ in keys_told(text)}

    assert told["few/scratch/a"] == "A1"
    assert told["few/folk/max"] == "E4"
    (line,) = [line for line in text.splitlines() if line.strip().startswith("FOLK &")]
    assert re.findall(r"\\tnote\{([A-E]4)\}", line) == ["A4", "B4", "C4", "D4", "E4"]
    assert r"\texttt{python -m folk explain STUDY CELL}" in text
    assert "STUDY is the file of toy." in text


def test_a_number_without_a_record_says_so(tree):
    for path in tree.results.glob("finetune/folk-s*/full/record.json"):
        path.unlink()

    (found,) = [
        d for _, id_, d in keys_told(texts(tree)[0]["finetune"]) if id_.endswith("folk/top1")
    ]

    assert found == "no record"


def test_a_quoted_number_has_no_key(tree):
    quoted = "    context:\n      ibot: {label: iBOT, cells: {top1: folk-t1-ibot-1600-vitb}}\n"

    changed = tree.rewrite("  few:\n    title", f"{quoted}  few:\n    title")
    written = texts(changed)[0]["finetune"]

    assert r"\textit{iBOT} & quoted & 84.0\tnote{\dag{}}" in written
    assert "ibot" not in "".join(id_ for _, id_, _ in keys_told(written))


@fault(
    "Hostile input",
    "LaTeX in labels",
    "every character that LaTeX would obey is made visible",
)
def test_what_stands_after_a_line_break_cannot_be_taken_for_its_argument(make_tree):
    text = texts(make_tree(label="[b] *"))[0]["finetune"]

    assert "{[}b{]} {*} &" in text
    assert not re.search(r"\\\\\s*[\[*]", text)


def test_every_character_of_the_shipped_studies_and_numbers_is_known_to_latex():
    root = Path(__file__).parents[2] / "config"
    for path in (*root.glob("published/*"), *root.glob("*.yaml")):
        for character in set(path.read_text(encoding="utf-8")):
            assert character == "\n" or latex(f"a{character}a").isascii(), (path, character)
