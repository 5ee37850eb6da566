"""The published tables of FOLK, typed here a second time, row by row."""

from fractions import Fraction
from pathlib import Path

import pytest

from folk.evidence.results.published import load_published
from folk.evidence.study.study import load_study
from folk.stages.recipes.named import recipes_of
from folk.stages.table import STAGES

# FOLK, Table 1: ViT-S/16, ViT-B/16. None is N/A.
TABLE_1 = {
    "scratch": ("79.9", "81.8"),
    "mae-300": ("80.6", "82.9"),
    "ibot-1600": ("81.1", "84.0"),
    "beit-300": ("81.3", "82.9"),
    "attmask-300": ("81.3", None),
    "mocov3-600": ("81.4", "83.2"),
    "dino-1600": ("81.5", "82.8"),
    "mfm-300": ("81.6", "83.1"),
    "mfm-rerun-300": ("81.2", "82.9"),
    "mfm-com-300": ("81.4", "83.2"),
    "folk-300": ("81.6", "83.4"),
    "folk-800": ("82.1", "84.0"),
}
# FOLK, Table 2: ViT-S/16 at (2e-4, 0), (2e-4, 100), (2e-3, 5); AVG and MAX of the row.
TABLE_2 = {
    "ibot-800": ("64.0", "71.1", "2.0", "45.7", "71.1"),
    "attmask-300": ("69.8", "71.0", "31.3", "57.4", "71.0"),
    "mfm-300": ("57.7", "58.5", "41.9", "52.7", "58.5"),
    "mfm-com-300": ("66.3", "63.9", "59.9", "63.4", "66.3"),
    "folk-300": ("71.2", "68.1", "62.2", "67.2", "71.2"),
    "folk-800": ("76.3", "73.5", "63.9", "71.2", "76.3"),
    "folk-1000ft": ("77.4", "74.9", "66.4", "72.9", "77.4"),
}
ENCODERS = ("vits", "vitb")
COLUMNS = ("2e-4-0", "2e-4-100", "2e-3-5", "avg", "max")
CELLS = {
    f"folk-t1-{row}-{encoder}": printed
    for row, values in TABLE_1.items()
    for encoder, printed in zip(ENCODERS, values, strict=True)
    if printed is not None
} | {
    f"folk-t2-{row}-{column}": printed
    for row, values in TABLE_2.items()
    for column, printed in zip(COLUMNS, values, strict=True)
}
# The steps between rows, in points: of Table 1 by encoder, of Table 2 by setting and of AVG.
STEPS_1 = {
    ("com", "mfm-com-300", "mfm-rerun-300"): ("0.2", "0.3"),
    ("distillation", "folk-300", "mfm-com-300"): ("0.2", "0.2"),
    ("800", "folk-800", "folk-300"): ("0.5", "0.6"),
}
STEPS_2 = {
    ("com", "mfm-com-300", "mfm-300"): ("8.6", "5.4", "18.0", "10.7"),
    ("distillation", "folk-300", "mfm-com-300"): ("4.9", "4.2", "2.3", "3.8"),
    ("800", "folk-800", "folk-300"): ("5.1", "5.4", "1.7", "4.0"),
    ("1000ft", "folk-1000ft", "folk-800"): ("1.1", "1.4", "2.5", "1.7"),
}
STEPS = [
    (
        f"folk-delta-full-{step}-{encoder}",
        f"folk-t1-{of}-{encoder}",
        f"folk-t1-{over}-{encoder}",
        by,
    )
    for (step, of, over), differences in STEPS_1.items()
    for encoder, by in zip(ENCODERS, differences, strict=True)
] + [
    (
        f"folk-delta-few-{step}" + ("" if column == "avg" else f"-{column}"),
        f"folk-t2-{of}-{column}",
        f"folk-t2-{over}-{column}",
        by,
    )
    for (step, of, over), differences in STEPS_2.items()
    for column, by in zip(COLUMNS[:4], differences, strict=True)
]


PAPER = Path("config/paper.yaml")


@pytest.fixture(scope="module")
def published():
    return load_published(Path("config/published"))


@pytest.fixture(scope="module")
def judged():
    """Of the paper study: published id -> row, its evaluations and their epochs, where judged."""
    study = load_study(PAPER, STAGES)
    recipes = dict(recipes_of(study, PAPER))
    found = {}
    for table in study.tables.values():
        for place, id_ in table.published.items():
            row, _, column = place.partition("/")
            names = table.columns[column].evaluations
            if all(study.evaluations[name].stage == "finetune" for name in names):
                epochs = {recipes["finetune", name].optim.epochs for name in names}
                assert id_ not in found, f"{id_} is judged twice"
                found[id_] = (row, names, epochs)
    return found


def test_the_file_has_each_of_the_23_and_35_cells_and_no_other(published):
    of_text = {id_ for id_, n in published.numbers.items() if n.certainty == "paper-text"}

    assert of_text == set(CELLS)
    assert [sum(id_.startswith(f"folk-t{n}-") for id_ in of_text) for n in (1, 2)] == [23, 35]
    assert of_text == {i for i in published.numbers if i.startswith(("folk-t1-", "folk-t2-"))}


@pytest.mark.parametrize(("id_", "printed"), CELLS.items())
def test_a_cell_is_as_printed(published, id_, printed):
    number = published.number(id_, "test")

    table = 1 if id_.startswith("folk-t1-") else 2
    assert (number.printed, number.value) == (printed, float(printed))
    assert (number.paper, number.table, number.unit) == ("folk", f"Table {table}", "%")
    assert number.margin == {1: 0.2, 2: 1.0}[table]


@pytest.mark.parametrize("row", TABLE_2)
def test_the_printed_average_and_maximum_are_those_of_the_three_settings(published, row):
    *settings, average, maximum = (
        Fraction(published.number(f"folk-t2-{row}-{column}", "test").printed) for column in COLUMNS
    )

    assert round(sum(settings) / 3, 1) == average
    assert max(settings) == maximum


@pytest.mark.parametrize(("id_", "of", "over", "by"), STEPS)
def test_a_step_is_the_difference_of_its_two_printed_numbers(published, id_, of, over, by):
    step = published.number(id_, "test")
    ends = [published.number(end, "test") for end in (of, over)]

    assert step.printed == by
    assert Fraction(by) == Fraction(ends[0].printed) - Fraction(ends[1].printed)
    assert step.note == f"{ends[0].printed} minus {ends[1].printed}"
    assert (step.column, step.table) == (ends[0].column, ends[0].table)
    assert (step.unit, step.certainty) == ("points", "computed")
    assert step.margin == (0.15 if "-full-" in id_ else 1.4)


def test_every_step_that_the_file_has_is_one_of_these(published):
    assert {i for i in published.numbers if i.startswith("folk-delta-")} == {s[0] for s in STEPS}


@pytest.mark.parametrize(
    ("of", "over", "by"),
    [("mfm-300-vits", "mfm-rerun-300-vits", "0.4"), ("mfm-300-vitb", "mfm-rerun-300-vitb", "0.2")],
)
def test_the_re_run_of_mfm_lies_below_mfm_as_published(published, of, over, by):
    ends = [Fraction(published.number(f"folk-t1-{end}", "test").printed) for end in (of, over)]

    assert ends[0] - ends[1] == Fraction(by)


@pytest.mark.parametrize(
    ("row", "mean"),
    [("folk-800", "74.90"), ("attmask-300", "70.40"), ("folk-300", "69.65"),
     ("ibot-800", "67.55"), ("mfm-com-300", "65.10"), ("mfm-300", "58.10")],
)  # fmt: skip
def test_without_the_third_setting_folk_of_300_epochs_does_not_lead(published, row, mean):
    settings = [
        Fraction(published.number(f"folk-t2-{row}-{column}", "test").printed)
        for column in COLUMNS[:2]
    ]

    assert sum(settings) / 2 == Fraction(mean)


ORDERS = [f"folk-order-t1-{encoder}" for encoder in ENCODERS]
ORDERS += [f"folk-order-t2-{column}" for column in COLUMNS]


@pytest.mark.parametrize("id_", ORDERS)
def test_mfm_then_filters_then_folk_is_stated_of_each_column(published, id_):
    statement = published.statement(id_, "test")

    table, column = id_.removeprefix("folk-order-").split("-", maxsplit=1)
    mfm = "mfm-rerun-300" if table == "t1" else "mfm-300"
    rows = (mfm, "mfm-com-300", "folk-300")
    assert statement.numbers == [f"folk-{table}-{row}-{column}" for row in rows]
    assert (statement.kind, statement.certainty) == ("order", "computed")


def test_folk_of_300_epochs_is_stated_to_lie_below_attmask_and_ibot_in_one_column(published):
    statement = published.statement("folk-below-t2-2e-4-100", "test")

    printed = [published.number(id_, "test").printed for id_ in statement.numbers]
    assert (statement.kind, printed) == ("order", ["68.1", "71.0", "71.1"])


@pytest.mark.parametrize(("encoder", "printed"), [("vits", "81.6"), ("vitb", "84.0")])
def test_what_is_stated_to_be_equal_is_equal_in_print(published, encoder, printed):
    statement = published.statement(f"folk-equal-t1-{encoder}", "test")

    assert statement.kind == "equal"
    assert [published.number(id_, "test").printed for id_ in statement.numbers] == [printed] * 2


def test_rows_of_table_1_are_judged_after_200_epochs_and_mfms_readme_after_100(judged):
    rows = {"mfm-rerun-300": "mfm", "mfm-com-300": "mfm-com", "folk-300": "folk",
            "folk-800": "folk-800"}  # fmt: skip
    for encoder, evaluation in zip(ENCODERS, ("full-vits", "full-200-vitb"), strict=True):
        for printed, row in rows.items():
            each_seed = [f"{evaluation}-f{seed}" for seed in range(3)]
            wanted = (f"{row}-{encoder}", each_seed, {200})
            assert judged[f"folk-t1-{printed}-{encoder}"] == wanted

    assert judged["mfm-readme-mfm-vitb"] == ("mfm-vitb", ["full-vitb"], {100})


def test_rows_of_table_2_are_judged_at_vit_s_and_the_long_one_from_800_epochs(judged):
    rows = {"mfm-300": ("mfm-vits", 200), "mfm-com-300": ("mfm-com-vits", 200),
            "folk-300": ("folk-vits", 200), "folk-800": ("folk-800-vits", 200),
            "folk-1000ft": ("folk-800-vits", 1000)}  # fmt: skip
    ours = {id_ for id_ in judged if id_.startswith("folk-t2-")}

    assert ours == {f"folk-t2-{row}-{column}" for row in rows for column in COLUMNS}
    for printed, (row, epochs) in rows.items():
        for column in COLUMNS:
            found = judged[f"folk-t2-{printed}-{column}"]
            assert (found[0], found[2]) == (row, {epochs})


def test_every_printed_step_is_a_claim_of_the_paper_study():
    claimed = {claim.published for claim in load_study(PAPER, STAGES).claims.values()}

    assert claimed >= {id_ for id_, *_ in STEPS}


def test_every_printed_cell_stands_in_the_paper_study_judged_or_quoted(judged):
    quoted = {
        id_
        for table in load_study(PAPER, STAGES).tables.values()
        for row in table.context.values()
        for id_ in row.cells.values()
    }

    assert set(CELLS) <= quoted | set(judged)
    assert not quoted & set(judged)
