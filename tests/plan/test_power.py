"""Chances of verdicts agree with closed forms, with the rules themselves, and with known values."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import scipy.integrate
import scipy.stats

from folk.evidence.plan.power import Deviations, Measured, Question, questions
from folk.evidence.results.claims import CONFIDENCE
from folk.evidence.results.metrics.intervals import difference_interval, mean, seed_interval
from folk.evidence.results.published import KINDS, load_published, papers_file
from folk.evidence.results.verdicts import Step, order_verdict, verdict
from folk.evidence.study.study import load_study
from folk.stages.table import STAGES
from tests.toy import folk, write_published

TRIALS = 40_000
STEPS = (82.9, 83.2, 83.4)


def question(kind, truths, deviation=0.085, target=0.0, margin=0.0):
    cells = tuple(Measured("row", ("full",), 3, 1, truth, deviation) for truth in truths)
    return Question("q", kind, cells, target, margin)


NUMBER = question("number", [83.1], target=83.1, margin=0.2)
DIFFERENCE = question("difference", [82.9, 83.2], target=0.3, margin=0.15)
ORDER = question("order", STEPS)
EQUAL = question("equal", [78.5, 78.5], margin=0.2)


@pytest.mark.parametrize(
    ("asked", "seeds", "percent"),
    [
        (NUMBER, 3, 44), (NUMBER, 5, 94), (NUMBER, 8, 100),
        (DIFFERENCE, 3, 9), (DIFFERENCE, 5, 38), (DIFFERENCE, 8, 80),
        (ORDER, 3, 39), (ORDER, 5, 88), (ORDER, 8, 99),
    ],
)  # fmt: skip
def test_chances_at_a_deviation_of_0_085_are_the_known_ones(asked, seeds, percent):
    chance = asked.chance([seeds] * len(asked.cells), TRIALS)

    assert 100 * chance == pytest.approx(percent, abs=2)


@pytest.mark.parametrize("seeds", [2, 3, 5, 8])
def test_the_chance_of_a_number_is_its_closed_form(seeds):
    error, quantile = 0.085 / seeds**0.5, scipy.stats.t.ppf(0.975, seeds - 1)

    def given(ratio):  # the standard error of a sample is `ratio` times the true one
        room = (0.2 - quantile * ratio * error) / error
        inside = max(2 * scipy.stats.norm.cdf(room) - 1, 0.0)
        density = scipy.stats.chi.pdf(ratio * (seeds - 1) ** 0.5, seeds - 1)
        return inside * density * (seeds - 1) ** 0.5

    most = 0.2 / (quantile * error)
    exact, _ = scipy.integrate.quad(given, 0, most)
    assert NUMBER.chance([seeds], TRIALS) == pytest.approx(exact, abs=0.01)


def judged(asked, runs):
    """The verdict of one study by the rules and intervals of the report."""
    confidence = CONFIDENCE.get(asked.kind, 0.95)
    if asked.kind == "number":
        found, middle = seed_interval(runs[0]), mean(runs[0])
    else:
        below, above = runs[-2:]
        found = difference_interval(above, below, confidence)
        middle = mean(above) - mean(below)
    if asked.kind == "order":
        steps = [(mean(b) - mean(a), difference_interval(b, a)) for a, b in zip(runs, runs[1:])]  # noqa: B905, RUF007
        return order_verdict([Step(d, i.low, i.high) for d, i in steps])
    return verdict(
        scale="paper", mean=middle, low=found.low, high=found.high, published=asked.target,
        margin=asked.margin,
    )  # fmt: skip


@pytest.mark.parametrize("asked", [NUMBER, DIFFERENCE, ORDER, EQUAL], ids=lambda q: q.kind)
def test_each_simulated_study_is_judged_as_the_report_would(asked):
    draw, counts = np.random.default_rng(3), [4, 3, 5][: len(asked.cells)]
    studies = [
        [list(map(float, draw.normal(c.truth, c.deviation, n)))
         for c, n in zip(asked.cells, counts, strict=True)]
        for _ in range(400)
    ]  # fmt: skip
    means = np.array([[np.mean(runs) for runs in study] for study in studies]).T
    errors = np.array([[np.var(runs, ddof=1) / len(runs) for runs in study] for study in studies]).T

    found = asked.reproduced(means, errors, counts)

    expected = [judged(asked, study) == "reproduced" for study in studies]
    assert 0 < sum(expected) < len(expected)
    assert list(found) == expected


def test_one_seed_reproduces_nothing_and_the_seeds_needed_are_the_fewest():
    assert NUMBER.chance([1], TRIALS) == 0.0
    assert [q.seeds_needed(TRIALS) for q in (NUMBER, ORDER, DIFFERENCE)] == [5, 5, 8]
    assert question("difference", [0.0, 0.3], 1.0, 0.3, 0.15).seeds_needed(TRIALS) is None


NESTED = """
study: toy
title: Toy
scale: paper
data: {images: {recipe: x}}
splits: {few: {data: images, recipe: x}}
encoders:
  mfm: {label: MFM, recipe: x, data: images, seeds: [0, 1, 2, 3]}
  folk: {label: FOLK, recipe: x, data: images, seeds: [0, 1, 2, 3]}
evaluations:
  full: {stage: finetune, recipe: x, data: images, seeds: [0, 1, 2]}
  few-a: {stage: finetune, recipe: x, data: images, split: few}
  few-b: {stage: finetune, recipe: x, data: images, split: few}
tables:
  main:
    title: Main
    rows: [mfm, folk]
    columns:
      best: {label: full, evaluation: full, metric: top1_best}
      last: {label: full, evaluation: full, metric: top1_last}
      avg: {label: AVG, evaluations: [few-a, few-b], metric: top1_last}
      max: {label: MAX, evaluations: [few-a, few-b], metric: top1_last, combine: max}
      speed: {label: speed, evaluation: full, metric: images_per_second, percent: false}
    published: {mfm/best: known, mfm/last: known, folk/best: unseen}
claims:
  rises: {says: it rises, order: [main/mfm/best, main/folk/best]}
  same: {says: the same, equal: {of: main/folk/max, to: main/mfm/max, margin: 1.0}}
  above: {says: it gains, difference: {of: main/folk/avg, over: main/mfm/avg}}
  mean: {says: the same, equal: {of: main/folk/avg, to: main/mfm/avg, margin: 1.0}}
  speed: {says: faster, order: [main/mfm/speed, main/folk/speed]}
"""
NUMBERS = """
certainty: {code: read in code, unknown: not found}
papers: {mfm: {title: MFM, venue: ICLR}}
seed_deviation: {full-labels: {deviation: 0.1, basis: made up}}
numbers:
  - {id: known, paper: mfm, table: T, row: r, column: c, metric: top1, unit: "%", printed: "83.1",
     value: 83.1, margin: 0.2, certainty: code, epoch: best, source: s}
  - {id: unseen, paper: mfm, table: T, row: r, column: c, metric: top1, unit: "%", printed: null,
     value: null, margin: null, certainty: unknown, source: s}
"""


def asked_of_toy(tmp_path):
    (tmp_path / "toy.yaml").write_text(NESTED)
    published = load_published(write_published(tmp_path / "published", NUMBERS))
    assert published.seed_deviation["full-labels"].deviation == 0.1
    deviations = Deviations({"full-labels": 0.1, "few-labels": 0.4}, 0.5)
    return questions(load_study(tmp_path / "toy.yaml", STAGES), published, deviations)


def test_fine_tunings_and_settings_lessen_the_part_of_the_variance_that_is_theirs(tmp_path):
    asked, _ = asked_of_toy(tmp_path)
    cells = {q.name: q.cells[0] for q in asked}

    assert list(cells) == ["main/mfm/best", "claims/same", "claims/mean"]
    best = cells["main/mfm/best"]
    assert (best.seeds, best.fine_tunings) == (4, 3)
    assert best.evaluations == ("full-f0", "full-f1", "full-f2")
    assert best.deviation == pytest.approx(0.1 * (1 / 2 + 1 / 6) ** 0.5)
    assert cells["claims/same"].deviation == pytest.approx(0.4)  # the best of two counts as one
    assert cells["claims/mean"].deviation == pytest.approx(0.4 * (1 / 2 + 1 / 4) ** 0.5)


def test_what_can_get_no_verdict_is_named_with_the_reason(tmp_path):
    _, without = asked_of_toy(tmp_path)

    assert without == {
        "main/mfm/last": "the published number is of another epoch",
        "main/folk/best": "the published value is not known",
        "claims/rises": "not every published value is known",
        "claims/above": "no difference is published",
        "claims/speed": "not in %, so no deviation is known",
    }


def test_every_kind_of_number_has_a_deviation_with_its_basis():
    said = load_published(Path("config/published")).seed_deviation

    assert set(said) == set(KINDS)
    assert said["full-labels"].deviation == 0.085
    assert all("assumption" in said[kind].basis for kind in KINDS if kind != "full-labels")


def test_the_paper_study_says_what_it_can_find_out_without_torch(tmp_path):
    asking = "import sys; from folk.cli.app import main\ntry: main()\n"
    asking += "finally: print('torch' in sys.modules, file=sys.stderr)"
    command = [sys.executable, "-c", asking, "plan", "config/paper.yaml", "--power", "--json"]
    done = subprocess.run(
        [*command, "--results", tmp_path], capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert done.stderr.strip().splitlines()[-1] == "False"
    found = json.loads(done.stdout)
    by_name = {entry["name"]: entry for entry in found["questions"]}
    order = by_name["claims/order-full-vitb"]
    assert set(order["seeds"]) == {"mfm-vitb", "mfm-com-vitb", "folk-vitb"}
    hours = order["gpu_hours_needed"]
    assert set(hours["from"]) == {"upper bound"}
    asked = load_study(Path("config/paper.yaml"), STAGES).resources
    again = order["finetune_seeds"]["folk-vitb"]
    each = [asked[stage].gpu * asked[stage].runtime / 60 for stage in ("pretrain", "finetune")]
    assert hours["value"] == pytest.approx(order["seeds_needed"] * 3 * (each[0] + again * each[1]))
    assert found["assumed"]["pretrain_share_of_variance"] == 0.5


def test_flags_change_what_is_assumed_and_the_text_says_it(tmp_path):
    done = folk("plan", "config/paper.yaml", "--power", "--sd", "0.17", "--sd-pretrain", "0.0",
                "--trials", "500", "--results", str(tmp_path))  # fmt: skip

    assert done.returncode == 0, done.stderr
    said = " ".join(done.stdout.split())
    assert "full-labels: 0.17 points" in said
    assert "few-labels: 0.8 points (an assumption, no source" in said
    assert "0 % of each variance from the pre-training" in said
    assert "claims/filters-full-vitb" in said


def test_a_file_without_the_deviation_of_some_kind_is_refused(tmp_path):
    shutil.copytree("config/published", tmp_path / "published")
    papers = papers_file(tmp_path / "published")
    text = papers.read_text()
    start, end = text.index("  segmentation:\n"), text.index("  robustness:\n")
    papers.write_text(text[:start] + text[end:])

    done = folk("plan", "config/paper.yaml", "--power", "--published", str(tmp_path / "published"))

    assert done.returncode == 2
    assert "papers.yaml: seed_deviation: add segmentation" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["config/demo.yaml", "--power"], "scale is 'demo', so no number gets a verdict"),
        (["config/paper.yaml", "--sd", "0.1"], "need --power"),
        (["config/paper.yaml", "--power", "--sd-pretrain", "0.2"], "must not exceed --sd 0.08"),
    ],
)
def test_a_question_that_cannot_be_answered_is_one_line(arguments, message):
    done = folk("plan", *arguments)

    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr
