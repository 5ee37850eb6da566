"""Claims are judged by the seeds behind their cells, and say why they cannot be."""

import shutil

import pytest

from folk.evidence.core.errors import InputError
from folk.evidence.results.cells import collect_cells, write_cells
from folk.evidence.results.claims import judge_claims, read_claims
from folk.evidence.results.published import load_published


def judged(tree, old="", new=""):
    tree = tree.rewrite(old, new)
    claims = judge_claims(tree.study, tree.cells().values(), load_published(tree.published))
    return {claim.id: claim for claim in claims}


def predict(tree, row, *hits):
    for seed, hit in enumerate(hits):
        tree.predict(f"finetune/{row}-s{seed}/full", hit)


def test_a_difference_is_that_of_the_cells_with_welchs_interval(make_tree):
    claim = judged(make_tree(scale="paper"))["gain-com-few"]

    # (196 - 176) of 600, both seeds 2 of 600 * 3 apart: standard error sqrt(1/2), t(0.975, 2).
    (step,) = claim.steps
    assert (step.below, step.above) == ("few/mfm/avg", "few/mfm-com/avg")
    assert step.difference == pytest.approx(100 * 20 / 600)
    assert step.high - step.difference == pytest.approx(4.30265 * 0.5**0.5, abs=1e-4)
    assert (step.printed, step.printed_interval) == ("+3.33", "+0.29 to +6.38")
    assert (claim.published_value, claim.margin) == (10.7, 1.4)
    assert claim.published_certainty == "computed"
    assert claim.verdict == "not reproduced"


@pytest.mark.parametrize(
    ("folk", "word"),
    [
        ((178, 180), "within tolerance"),  # 82.5, 85.5, 89.5; the first step reaches zero
        ((171, 171), "inconclusive"),
        ((150, 152), "not reproduced"),
    ],
)
def test_an_order_is_judged_step_by_step(make_tree, folk, word):
    tree = make_tree(scale="paper")
    predict(tree, "folk", *folk)

    claim = judged(tree)["order-full"]

    assert [step.above for step in claim.steps] == ["finetune/mfm-com/top1", "finetune/folk/top1"]
    assert (claim.verdict, claim.published_id) == (word, "folk-order-t1-vitb")


@pytest.mark.parametrize(
    ("margin", "word"),
    [("4.0", "reproduced"), ("3.0", "within tolerance"), ("0.9", "inconclusive")],
)
def test_equality_is_two_one_sided_tests(make_tree, margin, word):
    # -1.0, and t(0.95, 2) = 2.91999 standard errors of sqrt(1/2) to each side: -3.06 to 1.06.
    claim = judged(make_tree(scale="paper"), "margin: 4.0", f"margin: {margin}")["no-gain"]

    (step,) = claim.steps
    assert (step.low, step.high) == pytest.approx((-3.0647, 1.0647), abs=1e-3)
    assert claim.confidence == 0.9
    assert claim.verdict == word


def test_one_seed_has_no_interval_and_says_so(make_tree):
    claims = judged(make_tree(scale="paper"), "seeds: [0, 1]", "seeds: [0]")

    assert claims["order-full"].verdict == "within tolerance"
    assert claims["order-full"].note.startswith("one seed in finetune/mfm/top1, finetune/mfm-com")
    assert claims["gain-com-few"].verdict == "inconclusive"
    assert claims["gain-com-few"].steps[0].printed_interval == ""


def test_a_missing_cell_leaves_a_claim_unattempted_and_names_the_cell(make_tree):
    tree = make_tree(scale="paper")
    shutil.rmtree(tree.results / "finetune" / "mfm-com-s1" / "full")

    claim = judged(tree)["order-full"]

    assert claim.verdict == "not attempted"
    assert claim.note == "finetune/mfm-com/top1 has no number (not run: mfm-com-s1/full)"
    assert [step.difference for step in claim.steps] == [None, None]


def test_a_demo_judges_its_claims_by_its_own_cells(tree):
    claims = judged(tree)

    # 82.5 to 85.5 to 89.5, with intervals of 3.04 to both sides: the first step reaches zero.
    order = claims["order-full"]
    assert (order.verdict, order.seeds) == ("undecided here", [2, 2, 2])
    assert (order.seeds_to_decide, order.printed_seeds_to_decide) == (3, "3")
    # +3.33, from 0.29 to 6.38: of the printed +10.7 only the sign is tested.
    gain = claims["gain-com-few"]
    assert (gain.verdict, gain.kind, gain.published_printed) == ("holds here", "difference", "10.7")
    assert (gain.seeds_to_decide, gain.printed_seeds_to_decide) == (None, "")
    assert claims["no-gain"].verdict == "holds here"


def test_rows_of_another_version_are_refused(tree, tmp_path):
    path = tmp_path / "cells.parquet"
    write_cells(collect_cells(tree.study, tree.results, load_published(tree.published)), path)

    with pytest.raises(InputError, match="columns of another version; run `report`"):
        read_claims(path)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("folk-order-t1-vitb", "folk-order-t1-vitbb", "used by claim .order-full.*folk-order-t1"),
        ("source: folk-order-t1-vitb", "source: folk-no-gain-r50", "a source of kind 'order'"),
        ("folk-delta-few-com", "folk-delta-few-cmo", "did you mean 'folk-delta-few-com'"),
        ("folk-delta-few-com", "folk-t2-folk-300-avg", "claim 'gain-com-few' is in 'points'"),
        ("of: finetune/mfm/top1, to: finetune/scratch/top1",
         "of: frozen/mfm/speed, to: frozen/scratch/speed", "the machine; remove the claim"),
    ],
)  # fmt: skip
def test_what_a_claim_cannot_rest_on_is_refused(tree, old, new, complaint):
    with pytest.raises(InputError, match=complaint):
        judged(tree, old, new)
