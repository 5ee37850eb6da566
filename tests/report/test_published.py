"""Published numbers keep their place, their source and how surely they are known."""

import pytest

from folk.evidence.core.errors import InputError
from folk.evidence.results.published import load_published
from tests.faults.table import fault

HEAD = """
certainty: {code: read in code, unknown: not found}
papers: {p: {title: T, authors: A, venue: V, arxiv: "1"}}
numbers:
"""
NUMBER = """
  - {id: one, paper: p, table: T1, row: r, column: c, metric: top1, unit: "%", printed: "83.4",
     value: 83.4, margin: 0.2, certainty: code, source: s}
"""


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
        ("id: rising", "id: one", "'one' stands there twice"),
        ("paper: p, place", "paper: q, place", "no paper is named 'q'"),
    ],
)
def test_a_statement_that_its_numbers_contradict_is_refused(tmp_path, old, new, complaint):
    path = tmp_path / "published.yaml"
    two = NUMBER.replace("id: one", "id: two").replace("83.4", "83.5")
    path.write_text(HEAD + NUMBER + two + ORDER)
    assert load_published(path).statement("rising", "claim").numbers == ["one", "two"]
    path.write_text(HEAD + NUMBER + two + ORDER.replace(old, new))

    with pytest.raises(InputError, match=complaint) as error:
        load_published(path)

    assert f"{path}:" in str(error.value)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("certainty: code", "certainty: memory", "never a published number"),
        ("certainty: code", "certainty: paper", "not explained on top"),
        ("certainty: code", "certainty: unknown", "null exactly when"),
        ("value: 83.4", "value: 84.3", "is not the value"),
        ("value: 83.4", "value: null", "null exactly when"),
        ("paper: p", "paper: q", "no paper is named 'q'"),
        ("margin: 0.2", "margin: -0.2", "greater than 0"),
        ("source: s", "sauce: s", "did you mean 'source'"),
    ],
)
def test_a_number_that_contradicts_itself_is_refused_with_file_and_line(
    tmp_path, old, new, complaint
):
    path = tmp_path / "published.yaml"
    path.write_text(HEAD + NUMBER.replace(old, new))

    with pytest.raises(InputError, match=complaint) as error:
        load_published(path)

    assert f"{path}:" in str(error.value)


def test_an_id_that_stands_there_twice_is_refused(tmp_path):
    path = tmp_path / "published.yaml"
    path.write_text(HEAD + NUMBER + NUMBER)

    with pytest.raises(InputError, match="'one' stands there twice"):
        load_published(path)


@fault("Config", "a cell or claim of a published number that is not there",
       "refused before anything runs, with the nearest id")  # fmt: skip
def test_a_cell_that_asks_for_an_unknown_id_hears_the_nearest_one(published_path):
    published = load_published(published_path)

    with pytest.raises(InputError, match="did you mean 'folk-t1-folk-300-vitb'"):
        published.number("folk-t1-folk-300-vitbb", "finetune/folk/top1")
