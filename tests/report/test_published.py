"""Published numbers keep their place, their source and how surely they are known."""

import pytest

from folk.errors import InputError
from folk.report.published import load_published

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
    assert published.number("folk-t1-folk-800-vits", "test").value is None


def test_the_average_that_folk_prints_is_the_average_of_its_three_settings(published_path):
    published = load_published(published_path)
    settings = [
        published.number(f"folk-t2-folk-300-{name}", "test").value
        for name in ("2e-4-0", "2e-4-100", "2e-3-5")
    ]

    assert round(sum(settings) / 3, 1) == published.number("folk-t2-folk-300-avg", "test").value
    assert max(settings) == published.number("folk-t2-folk-300-max", "test").value


def test_every_known_number_has_a_margin_and_every_unknown_one_has_none(published_path):
    for number in load_published(published_path).numbers.values():
        assert (number.margin is None) == (number.certainty == "unknown"), number.id


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


def test_a_cell_that_asks_for_an_unknown_id_hears_the_nearest_one(published_path):
    published = load_published(published_path)

    with pytest.raises(InputError, match="did you mean 'folk-t1-folk-300-vitb'"):
        published.number("folk-t1-folk-300-vitbb", "finetune/folk/top1")
