"""A study below the papers' size tests claims by its own cells, and errs as rarely as it says."""

import functools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from folk.evidence.results.cells import SCHEMA, Cell
from folk.evidence.results.claims import MOST_SEEDS, judge_claims, seeds_to_decide
from folk.evidence.results.metrics.intervals import contrast_interval, difference_interval
from folk.evidence.results.published import load_published
from folk.evidence.results.verdicts import Step, equal_here, sign_here
from folk.evidence.study.study import load_study
from folk.stages.table import STAGES
from tests.toy import write_published

STUDY = """
study: toy
title: Hand-made cells
scale: {scale}
data: {{scenes: {{recipe: demo}}}}
encoders:
  mfm: {{label: MFM, recipe: demo, data: scenes, seeds: [0, 1]}}
  com: {{label: Com, recipe: demo, data: scenes, seeds: [0, 1]}}
  folk: {{label: FOLK, recipe: demo, data: scenes, seeds: [0, 1]}}
evaluations: {{full: {{stage: finetune, recipe: demo, data: scenes}}}}
tables:
  main:
    title: Main
    rows: [mfm, com, folk]
    columns:
      full: {{label: full, evaluation: full, metric: top1_last}}
claims:
  rises: {{says: it rises, order: [main/mfm/full, main/com/full, main/folk/full]}}
  gain: {{says: a gain, difference: {{of: main/folk/full, over: main/mfm/full}}}}
  back: {{says: a loss, difference: {{of: main/mfm/full, over: main/folk/full}}}}
  printed:
    {{says: two, difference: {{of: main/folk/full, over: main/mfm/full}}, published: two}}
  less: {{says: less, difference: {{of: main/folk/full, over: main/mfm/full}}, published: less}}
  unseen: {{says: so, difference: {{of: main/folk/full, over: main/mfm/full}}, published: unseen}}
  effect:
    says: an effect
    difference: {{of: [main/folk/full, main/com/full], over: main/mfm/full}}
  same: {{says: the same, equal: {{of: main/folk/full, to: main/mfm/full, margin: 1.0}}}}
"""
PUBLISHED = """
certainty: {paper: read in it, unknown: seen by nobody}
papers: {folk: {title: FOLK, venue: ICLR 2025}}
numbers:
  - {id: two, paper: folk, table: T, row: r, column: c, metric: top1, unit: points, printed: "2.0",
     value: 2.0, margin: 0.5, certainty: paper, epoch: best, source: s}
  - {id: less, paper: folk, table: T, row: r, column: c, metric: top1, unit: points, value: -2.0,
     printed: "-2.0", margin: 0.5, certainty: paper, source: s}
  - {id: unseen, paper: folk, table: T, row: r, column: c, metric: top1, unit: points,
     printed: null, value: null, margin: null, certainty: unknown, source: s}
"""
# +4.0 and +2.0, each with a 95 % interval of t(0.975, 2) * sqrt(0.02) = 0.608 to both sides.
SEEDS = {"mfm": [79.9, 80.1], "com": [81.9, 82.1], "folk": [83.9, 84.1]}


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    """Judge the claims, given seeds by row and the study's scale."""
    folder: Path = tmp_path_factory.mktemp("toy")
    published = load_published(write_published(folder / "published", PUBLISHED))

    @functools.cache
    def study(scale):
        (folder / "toy.yaml").write_text(STUDY.format(scale=scale))
        return load_study(folder / "toy.yaml", STAGES)

    def judged(scale="demo", **seeds):
        cells = [cell(row, values) for row, values in (SEEDS | seeds).items()]
        return {claim.id: claim for claim in judge_claims(study(scale), cells, published)}

    return judged


def cell(row, values):
    texts = ("formula", "note", *(f.name for f in SCHEMA if f.name.startswith("printed")))
    lists = ("parents", "parent_ids", "printed_seeds", "finetune_seeds")
    empty = {field.name: None for field in SCHEMA} | dict.fromkeys(texts, "") | {"quoted": False}
    known = {"id": f"main/{row}/full", "table": "main", "row": row, "column": "full", "unit": "%"}
    numbers = {"n": len(values), "value": float(np.mean(values)), "seed_values": values}
    runs = {name: [] for name in lists} | {"seeds": list(range(len(values)))}
    return Cell(**empty | known | numbers | runs | {"metric": "top1_last"})


def words(claims):
    return {name: claim.verdict.split()[0] for name, claim in claims.items()}


@pytest.mark.parametrize("scale", ["demo", "smoke"])
def test_each_kind_of_claim_holds_or_fails_by_its_interval(judge, scale):
    assert words(judge(scale)) == {
        "rises": "holds", "gain": "holds", "back": "fails", "printed": "holds", "less": "fails",
        "unseen": "undecided", "effect": "holds", "same": "fails",
    }  # fmt: skip


def test_rows_that_seeds_do_not_separate_decide_nothing(judge):
    claims = judge(folk=[70.0, 90.0], com=[60.0, 95.0])

    assert set(words(claims).values()) == {"undecided"}
    assert claims["same"].confidence == 0.9


def test_one_seed_decides_nothing_and_asks_for_no_number_of_seeds(judge):
    claims = judge(folk=[84.0])

    assert set(words(claims).values()) == {"undecided"}
    assert claims["gain"].note == "one seed in main/folk/full, so no interval"
    assert {claim.printed_seeds_to_decide for claim in claims.values()} == {""}


def test_a_published_difference_without_a_sign_is_not_tested_and_says_so(judge):
    claim = judge()["unseen"]

    assert claim.note == "the published difference has no known sign"
    assert claim.printed_seeds_to_decide == ""


def test_a_difference_without_a_printed_number_is_an_order_of_two_at_the_papers_scale(judge):
    claims = judge("paper")

    assert (claims["gain"].kind, claims["gain"].verdict) == ("sign", "reproduced")
    assert claims["back"].verdict == "not reproduced"
    assert claims["printed"].verdict == "not comparable (epoch)"
    assert {claim.printed_seeds_to_decide for claim in claims.values()} == {""}


NUMBERS = st.lists(st.integers(0, 400).map(lambda n: n / 4), min_size=1, max_size=4)


@settings(max_examples=30)
@given(NUMBERS, NUMBERS)
def test_a_claim_of_swapped_cells_has_the_other_verdict(judge, mfm, folk):
    claims = judge(mfm=mfm, folk=folk)
    swapped = judge(mfm=folk, folk=mfm)

    other = {"holds here": "fails here", "fails here": "holds here"}
    for name in ("gain", "printed", "less"):
        assert swapped[name].verdict == other.get(claims[name].verdict, "undecided here")
    assert claims["back"].verdict == swapped["gain"].verdict
    assert claims["same"].verdict == swapped["same"].verdict


@pytest.mark.parametrize(
    ("seeds", "deviations"), [((3, 3), (1, 1)), ((5, 5), (1, 3)), ((4, 8), (2, 1))]
)
def test_a_true_null_difference_is_undecided_in_about_95_of_100_studies(seeds, deviations):
    draw, trials = np.random.default_rng(11), 4000
    found = []
    for _ in range(trials):
        above, below = (
            list(map(float, draw.normal(80.0, deviation, count)))
            for count, deviation in zip(seeds, deviations, strict=True)
        )
        interval = difference_interval(above, below)
        found.append(sign_here(Step(0.0, interval.low, interval.high), 1.0))

    # Welch's interval is a little too long for three seeds.
    assert 0.94 <= found.count("undecided here") / trials <= 0.97
    assert found.count("holds here") == pytest.approx(found.count("fails here"), abs=0.02 * trials)


def test_cells_at_the_margin_are_called_equal_in_about_5_of_100_studies():
    draw, trials = np.random.default_rng(12), 4000
    found = []
    for _ in range(trials):
        above, below = (list(map(float, draw.normal(mean, 0.2, 5))) for mean in (81.0, 80.0))
        interval = difference_interval(above, below, 0.9)
        found.append(equal_here(Step(0.0, interval.low, interval.high), 1.0))

    assert found.count("holds here") / trials == pytest.approx(0.05, abs=0.01)


def test_a_difference_of_means_of_cells_has_the_interval_of_all_their_seeds(judge):
    claim = judge()["effect"]

    (step,) = claim.steps
    assert (step.below, step.above) == ("main/mfm/full", "the mean of 2 cells")
    assert claim.cells == ["main/mfm/full", "main/folk/full", "main/com/full"]
    found = contrast_interval([SEEDS["folk"], SEEDS["com"]], [SEEDS["mfm"]])
    assert (step.difference, step.low, step.high) == pytest.approx((3.0, found.low, found.high))
    assert claim.verdict == "holds here"
    unclear = judge(mfm=[78.0, 87.0])["effect"]
    assert (unclear.verdict, unclear.printed_seeds_to_decide) == ("undecided here", "")


def with_deviation(mean, deviation):
    """Two seeds of this mean and standard deviation."""
    return [mean - deviation / 2**0.5, mean + deviation / 2**0.5]


def power(gap, deviation, seeds):
    """The chance of the t test with equal variances, by the noncentral t distribution."""
    from scipy.stats import nct, t

    freedom, shift = 2 * seeds - 2, gap / (deviation * (2 / seeds) ** 0.5)
    limit = t.ppf(0.975, freedom)
    return 1 - nct.cdf(limit, freedom, shift) + nct.cdf(-limit, freedom, shift)


@pytest.mark.parametrize("ratio", [0.7, 1.0, 1.5])
def test_the_seeds_to_decide_a_sign_are_those_of_the_noncentral_t(ratio):
    runs = [with_deviation(80.0, 1.0), with_deviation(80.0 + ratio, 1.0)]
    exact = next(n for n in range(2, 99) if power(ratio, 1.0, n) >= 0.8)

    found = seeds_to_decide(runs, None)

    assert found == pytest.approx(exact, abs=1)
    assert seeds_to_decide(runs[::-1], None) == pytest.approx(found, abs=1)


def test_an_order_needs_the_seeds_of_its_least_sure_step():
    one, two, three = (with_deviation(mean, 1.0) for mean in (80.0, 81.0, 90.0))

    assert seeds_to_decide([one, two, three], None) == seeds_to_decide([one, two], None)


@pytest.mark.parametrize("gap", [0.0, 3.0])
def test_an_equivalence_needs_fewer_seeds_with_less_scatter(gap):
    runs = [[with_deviation(80.0 + shift, deviation) for shift in (0.0, gap)]
            for deviation in (0.8, 1.6)]  # fmt: skip

    few, many = (seeds_to_decide(each, 1.5) for each in runs)

    assert 2 <= few < many


def test_a_difference_too_small_or_of_nothing_is_out_of_reach():
    assert MOST_SEEDS == 50
    assert seeds_to_decide([with_deviation(80.0, 5.0), with_deviation(80.1, 5.0)], None) is None
    assert seeds_to_decide([[80.0, 80.0], [80.0, 80.0]], None) is None


def test_the_number_that_would_decide_stands_with_an_undecided_claim(judge):
    claims = judge(mfm=[79.0, 81.0], folk=[81.0, 83.0], com=[80.99, 81.01])

    assert claims["gain"].verdict == "undecided here"
    assert 2 < claims["gain"].seeds_to_decide < 12
    assert claims["gain"].printed_seeds_to_decide == str(claims["gain"].seeds_to_decide)
    far = judge(mfm=[70.0, 90.0], folk=[70.1, 90.1])["gain"]
    assert (far.seeds_to_decide, far.printed_seeds_to_decide) == (None, "more than 50")
    assert far.seeds == [2, 2]
