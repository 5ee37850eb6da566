"""Published numbers keep their place, their source and how surely they are known."""

import pytest

from folk.evidence.core.errors import InputError
from folk.evidence.results.published import load_published
from tests.faults.table import fault

PAPERS = """
certainty: {code: read in code, unknown: not found}
papers: {p: {title: T, authors: A, venue: V, arxiv: "1"}}
"""
HEADER = "id,paper,table,row,column,metric,unit,printed,value,margin,certainty,epoch,source,note\n"
NUMBER = 'one,p,T1,r,c,top1,%,83.4,83.4,0.2,code,,s,"a note, with a comma"\n'


def write(folder, rows, papers=PAPERS, header=HEADER):
    (folder / "papers.yaml").write_text(papers)
    (folder / "numbers.csv").write_text(header + rows)
    return folder


def test_the_file_of_the_project_states_the_headline_numbers(published_path):
    published = load_published(published_path)

    assert published.number("folk-t1-folk-300-vitb", "test").value == 83.4
    assert published.number("folk-t2-folk-300-avg", "test").printed == "67.2"
    assert published.number("folk-t2-ibot-800-2e-3-5", "test").value == 2.0
    assert published.number("mfm-readme-mfm-r50-300", "test").certainty == "code"
    assert published.number("folk-t4-folk-r50", "test").value is None


def test_every_known_number_has_a_margin_and_every_unknown_one_has_none(published_path):
    for number in load_published(published_path).numbers.values():
        assert (number.margin is None) == (number.certainty == "unknown"), number.id


# What people remember of tables that nobody here has read; some of it may well be right.
FROM_MEMORY = {
    "MoCo v3": (47.3,), "BEiT": (47.1,), "MAE": (38.9, 11.2, 52.3, 31.5, 33.8),
    "SimMIM": (80.9, 82.9), "CIM": (81.6, 78.6), "SimSiam": (79.1,), "MoCo v2": (79.6,),
    "SimCLR": (80.0,), "BYOL": (80.0,), "SwAV": (80.1,),
    "MFM": (48.6, 47.7, 24.4, 47.5, 32.7, 34.8), "supervised": (47.4,),
    "scratch": (46.3, 21.2, 48.5, 28.1, 44.7, 32.0, 20.2, 3.4, 77.0, 6.6, 36.0, 25.0),
}  # fmt: skip


def test_no_number_is_one_that_is_only_remembered(published_path):
    numbers = load_published(published_path).numbers.values()

    found = [n.id for n in numbers for m, v in FROM_MEMORY.items() if m in n.row and n.value in v]

    assert found == []


def test_mfm_prints_the_best_epoch_and_folk_does_not_say(published_path):
    numbers = load_published(published_path).numbers

    assert numbers["mfm-readme-mfm-vitb"].of_another_epoch("top1_last")
    assert not numbers["mfm-readme-mfm-vitb"].of_another_epoch("top1_best")
    assert not numbers["folk-t1-folk-300-vitb"].of_another_epoch("top1_last")
    assert not numbers["dino-linear-vits"].of_another_epoch("knn_top1_k20")


def test_a_printed_measure_covers_our_metrics_of_its_kind(published_path):
    numbers = load_published(published_path).numbers

    assert numbers["folk-t1-folk-300-vitb"].measures("top1_best")
    assert numbers["dino-linear-vits"].measures("linear_top1_last")
    assert not numbers["folk-t1-folk-300-vitb"].measures("linear_top1_last")
    assert not numbers["folk-t1-folk-300-vitb"].measures("top5_last")


def test_an_empty_cell_is_no_value(tmp_path):
    unseen = "two,p,T1,r,c,top1,%,,,,unknown,,s,\n"

    numbers = load_published(write(tmp_path, NUMBER + unseen)).numbers

    assert (numbers["two"].printed, numbers["two"].value, numbers["two"].margin) == (None,) * 3
    assert (numbers["two"].epoch, numbers["two"].note) == ("unknown", "")
    assert numbers["one"].note == "a note, with a comma"


ORDER = """
statements:
  - {id: rising, paper: p, place: T1, kind: order, says: s, numbers: [one, two], certainty: code,
     source: s}
"""


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("[one, two]", "[two, one]", "do not rise"),
        ("[one, two]", "[one, tow]", "no number has the id 'tow'; did you mean 'two'"),
        ("id: rising", "id: one", "duplicate id 'one'"),
        ("paper: p, place", "paper: q, place", "unknown paper 'q'"),
    ],
)
def test_a_statement_that_its_numbers_contradict_is_refused(tmp_path, old, new, complaint):
    rows = NUMBER + NUMBER.replace("one", "two").replace("83.4", "83.5")
    sound = load_published(write(tmp_path, rows, PAPERS + ORDER))
    assert sound.statement("rising", "claim").numbers == ["one", "two"]
    write(tmp_path, rows, PAPERS + ORDER.replace(old, new))

    with pytest.raises(InputError, match=complaint) as error:
        load_published(tmp_path)

    assert f"{tmp_path}/papers.yaml:6: " in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (",code,", ",memory,", "never a published number"),
        (",code,", ",paper,", "certainty: 'paper' is not explained in .*papers.yaml"),
        (",code,", ",unknown,", "empty exactly when"),
        (",code,", ",,", "certainty: missing key"),
        (",83.4,83.4,", ",83.4,84.3,", "is not the value"),
        (",83.4,83.4,", ",83.4,,", "empty exactly when"),
        (",83.4,83.4,", ",83.4,much,", "value: .*valid number.*'much'"),
        (",83.4,83.4,", ",nan,nan,", "value: .*finite number"),
        (",p,", ",q,", "unknown paper 'q'"),
        (",0.2,", ",-0.2,", "margin: .*greater than 0"),
        (",s,", ",", "expected 14 cells, got 13"),
        ('comma"', 'comma" x', "not readable as CSV"),
        ("one,", "two,", "duplicate id 'two'"),
    ],
)
def test_a_number_that_contradicts_itself_is_refused_with_file_and_line(
    tmp_path, old, new, complaint
):
    first = NUMBER.replace("one", "two")
    write(tmp_path, first + NUMBER.replace(old, new, 1))

    with pytest.raises(InputError, match=rf"numbers\.csv:3: .*{complaint}"):
        load_published(tmp_path)


@pytest.mark.parametrize("header", ["", HEADER.replace("source", "sauce"), f"\n{HEADER}"])
def test_a_table_of_other_columns_is_refused(tmp_path, header):
    write(tmp_path, NUMBER, header=header)

    with pytest.raises(InputError, match=r"numbers\.csv:1: expected the columns id,paper,"):
        load_published(tmp_path)


@fault("Config", "a cell or claim of a published number that is not there",
       "refused before anything runs, with the nearest id")  # fmt: skip
def test_a_cell_that_asks_for_an_unknown_id_hears_the_nearest_one(published_path):
    published = load_published(published_path)

    with pytest.raises(InputError, match="did you mean 'folk-t1-folk-300-vitb'"):
        published.number("folk-t1-folk-300-vitbb", "finetune/folk/top1")
