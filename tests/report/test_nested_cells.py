"""A run that was fine-tuned several times counts once, with the mean of its fine-tunings."""

import dataclasses
import shutil

import pytest

from folk.evidence.core.errors import InputError
from folk.evidence.report.tables import table_views
from folk.evidence.results.claims import judge_claims
from folk.evidence.results.metrics.intervals import difference_interval, seed_interval
from folk.evidence.results.published import load_published
from folk.evidence.study.study import load_study
from folk.stages.table import STAGES
from tests.report.conftest import FEW, SEEDS

AGAIN = (0, 1, 7)


@pytest.fixture
def nested(tree):
    """The toy study with three fine-tuning seeds of every fine-tuning, all with equal results."""
    text = tree.study_path.read_text()
    for name in ("full", *FEW):
        old = f"{name}: {{stage: finetune"
        assert old in text
        text = text.replace(old, f"{name}: {{seeds: {list(AGAIN)}, stage: finetune")
    tree.study_path.write_text(text)
    for folder in sorted(tree.results.glob("finetune/*/*")):
        for seed in AGAIN:
            shutil.copytree(folder, folder.with_name(f"{folder.name}-f{seed}"))
        shutil.rmtree(folder)
    return dataclasses.replace(tree, study=load_study(tree.study_path, STAGES))


def test_a_nested_cell_is_the_mean_of_runs_with_the_interval_over_runs(nested):
    # Of 200: run 0 has 178, 174, 170 (mean 87 %), run 1 has 180, 186, 180 (mean 91 %).
    for run, again, hits in ((0, 1, 174), (0, 7, 170), (1, 1, 186)):
        nested.predict(f"finetune/folk-s{run}/full-f{again}", hits=hits)

    cell = nested.cells()["finetune/folk/top1"]

    assert cell.seeds == [0, 0, 0, 1, 1, 1]
    assert cell.finetune_seeds == [0, 1, 7, 0, 1, 7]
    assert cell.seed_values == pytest.approx([89.0, 87.0, 85.0, 90.0, 93.0, 90.0])
    assert cell.run_values == pytest.approx([87.0, 91.0])
    assert (cell.n, cell.value) == (2, pytest.approx(89.0))
    assert cell.std == pytest.approx(8**0.5)
    expected = seed_interval([87.0, 91.0])
    assert (cell.low, cell.high) == pytest.approx((expected.low, expected.high))
    # Variances within: 4 and 3. Between: 8 - 3.5 / 3.
    assert cell.std_finetune == pytest.approx(3.5**0.5)
    assert cell.std_pretrain == pytest.approx((8 - 3.5 / 3) ** 0.5)
    assert (cell.printed, cell.printed_std_finetune) == ("89.0 ± 2.8", "1.87")
    assert [path.split("/")[-3:-1] for path in cell.parents] == [
        [f"folk-s{run}", f"full-f{again}"] for run in SEEDS for again in AGAIN
    ]
    assert cell.boot_low < 89.0 < cell.boot_high
    assert cell.formula == (
        "mean over seeds of the mean over fine-tuning seeds 0, 1, 7 of top1_last in full, times 100"
    )


def test_the_best_setting_is_chosen_within_each_fine_tuning(nested):
    # Seed 7 of both runs: setting b is best there with 130, else a with 112 and 114.
    for run in SEEDS:
        nested.predict(f"finetune/folk-s{run}/few-b-f7", hits=130)

    cell = nested.cells()["few/folk/max"]

    assert cell.seed_values == pytest.approx([56.0, 56.0, 65.0, 57.0, 57.0, 65.0])
    assert cell.value == pytest.approx((59.0 + 179 / 3) / 2)
    assert cell.boot_low < cell.value < cell.boot_high
    assert "max over few-a, few-b, few-c of top1_last" in cell.formula


def test_a_column_without_fine_tuning_seeds_is_as_before(nested, untouched):
    before, now = untouched.cells()["frozen/folk/knn"], nested.cells()["frozen/folk/knn"]

    same = dataclasses.replace(before, parents=now.parents, parent_ids=now.parent_ids)
    assert now == same
    assert (now.finetune_seeds, now.std_finetune, now.std_pretrain) == ([], None, None)


def test_equal_fine_tunings_leave_all_scatter_to_the_pre_training(nested, untouched):
    before, now = (
        untouched.cells()["finetune/folk/top1"],
        nested.cells()["finetune/folk/top1"],
    )

    for key in ("value", "n", "std", "low", "high", "printed", "verdict"):
        assert getattr(now, key) == pytest.approx(getattr(before, key)), key
    assert (now.std_finetune, now.std_pretrain) == (0.0, pytest.approx(now.std))


def test_a_missing_fine_tuning_leaves_the_cell_empty(nested):
    shutil.rmtree(nested.results / "finetune/folk-s1/full-f7")

    cell = nested.cells()["finetune/folk/top1"]

    assert (cell.value, cell.printed, cell.note) == (None, "", "not run: folk-s1/full-f7")


def test_a_claim_rests_on_runs_and_not_on_fine_tunings(nested):
    nested.predict("finetune/folk-s0/full-f1", hits=100)
    cells = nested.cells()
    published = load_published(nested.published)

    claim = judge_claims(nested.study, cells.values(), published)[0]

    above, below = cells["finetune/folk/top1"], cells["finetune/mfm-com/top1"]
    expected = difference_interval(above.run_values, below.run_values)
    assert len(above.run_values) == 2
    assert (claim.steps[1].low, claim.steps[1].high) == (expected.low, expected.high)


def test_a_table_says_what_was_fine_tuned_and_both_parts_of_the_deviation(nested):
    cells, published = nested.cells(), load_published(nested.published)
    views = {view.name: view for view in table_views(nested.study, cells.values(), published)}

    notes = [text for _, text in views["finetune"].notes]
    assert notes[0] == "Mean ± standard deviation over n = 2 seeds."
    assert notes[1].startswith(
        "Each run was fine-tuned with 3 seeds, and counts with the mean of them (top-1 %; top-5 %)."
    )
    assert (
        "FOLK, top-1 %: 0.00 of fine-tuning (within a run), 0.71 of pre-training (between runs)"
        in notes[1]
    )
    assert any("the mean of them (images/s)." in text for _, text in views["frozen"].notes)
    page = nested.render()[1]
    assert "seed 1, fine-tuning seed 7" in page


def test_evaluations_with_other_seeds_cannot_share_a_column(nested):
    text = nested.study_path.read_text()
    nested.study_path.write_text(text.replace("few-b: {seeds: [0, 1, 7]", "few-b: {seeds: [0, 1]"))

    with pytest.raises(InputError, match=r"few-a has \[0, 1, 7\]; few-b has \[0, 1\]"):
        load_study(nested.study_path, STAGES)
