"""A claim as it is judged from hand-made cells, word for word."""

import dataclasses

import pyarrow.parquet as pq
import pytest

from folk.evidence.results.claims import SCHEMA as CLAIMS_SCHEMA
from folk.evidence.results.claims import judge_claims, read_claims, write_claims
from folk.evidence.results.published import load_published
from folk.evidence.study.study import load_study
from folk.stages.table import STAGES
from tests.report.conftest import made_cell
from tests.toy import write_published

STUDY = """
study: toy
title: Hand-made cells
scale: paper
data: {scenes: {recipe: demo}}
encoders:
  mfm: {label: MFM, recipe: demo, data: scenes, seeds: [0, 1]}
  folk: {label: FOLK, recipe: demo, data: scenes, seeds: [0, 1]}
evaluations: {full: {stage: finetune, recipe: demo, data: scenes}}
tables:
  main:
    title: Main
    rows: [mfm, folk]
    columns:
      full: {label: full, evaluation: full, metric: top1_last}
      best: {label: best, evaluation: full, metric: top1_best}
      loss: {label: loss, evaluation: full, metric: loss, percent: false, better: lower}
claims:
  gain: {says: a gain, difference: {of: main/folk/full, over: main/mfm/full}, published: printed}
  best-gain:
    says: a gain
    difference: {of: main/folk/best, over: main/mfm/best}
    published: printed
  unseen: {says: a gain, difference: {of: main/folk/full, over: main/mfm/full}, published: unseen}
  rises: {says: it rises, order: [main/mfm/loss, main/folk/loss], source: rising}
  said: {says: it rises, order: [main/mfm/full, main/folk/full]}
"""
PUBLISHED = """
certainty: {paper: read in it, unknown: seen by nobody}
papers: {folk: {title: FOLK, venue: ECCV 2024}}
numbers:
  - {id: printed, paper: folk, table: Table 1, row: gain, column: full, metric: top1, unit: points,
     printed: "2.0", value: 2.0, margin: 1.0, certainty: paper, epoch: last, source: page 9,
     note: last epoch}
  - {id: unseen, paper: folk, table: Table 7, row: gain, column: full, metric: top1, unit: points,
     printed: null, value: null, margin: null, certainty: unknown, source: nowhere}
statements:
  - {id: rising, paper: folk, place: Section 4, kind: order, says: it rises, certainty: paper,
     source: page 3, note: in words only}
"""


@pytest.fixture
def judge(tmp_path):
    """Judge the claims, given seeds by cell."""
    (tmp_path / "toy.yaml").write_text(STUDY)
    study = load_study(tmp_path / "toy.yaml", STAGES)
    published = load_published(write_published(tmp_path / "published", PUBLISHED))

    def judged(**seeds):
        values = {
            **{"mfm_full": [80.0, 80.0], "folk_full": [82.0, 82.0]},
            **{"mfm_best": [81.0, 81.0], "folk_best": [83.0, 83.0]},
            **{"mfm_loss": [0.5, 0.5], "folk_loss": [0.25, 0.25]},
        } | seeds
        cells = [cell(*name.split("_"), numbers) for name, numbers in values.items()]
        return {claim.id: claim for claim in judge_claims(study, cells, published)}

    return judged


def cell(row, column, values):
    said = {
        "unit": "" if column == "loss" else "%",
        "metric": {"full": "top1_last", "best": "top1_best"}.get(column, column),
        "printed": f"{row} as printed",
        "note": "" if values else f"not run: {row}",
    }
    return made_cell(row, column, values, **said)


def test_a_claim_says_all_that_it_rests_on(judge):
    claim = judge()["gain"]

    assert dataclasses.asdict(claim) == {
        "id": "gain",
        "says": "a gain",
        "kind": "difference",
        "cells": ["main/mfm/full", "main/folk/full"],
        "printed_values": ["mfm as printed", "folk as printed"],
        "seeds": [2, 2],
        "unit": "points",
        "confidence": 0.95,
        "steps": [
            {
                "below": "main/mfm/full",
                "above": "main/folk/full",
                "difference": 2.0,
                "low": 2.0,
                "high": 2.0,
                "printed": "+2.00",
                "printed_interval": "+2.00 to +2.00",
            }
        ],
        "margin": 1.0,
        "published_id": "printed",
        "published_value": 2.0,
        "published_printed": "2.0",
        "published_certainty": "paper",
        "published_source": "FOLK (ECCV 2024), Table 1. Source: page 9. Last epoch.",
        "verdict": "reproduced",
        "seeds_to_decide": None,
        "printed_seeds_to_decide": "",
        "note": "",
    }


def test_a_difference_of_best_epochs_is_not_that_of_last_ones(judge):
    assert judge()["best-gain"].verdict == "not comparable (epoch)"


def test_a_difference_that_nobody_has_seen_printed_is_measured_and_not_judged(judge):
    claim = judge()["unseen"]

    assert (claim.published_value, claim.margin, claim.verdict) == (None, None, "inconclusive")
    assert claim.steps[0].difference == 2.0
    assert claim.published_source == "FOLK (ECCV 2024), Table 7. Source: nowhere."


def test_a_statement_is_quoted_with_its_place_and_a_claim_of_our_own_quotes_nobody(judge):
    claims = judge()

    said = "FOLK (ECCV 2024), Section 4. Source: page 3. In words only."
    assert (claims["rises"].published_id, claims["rises"].published_source) == ("rising", said)
    assert claims["rises"].published_certainty == "paper"
    assert (claims["said"].published_id, claims["said"].published_source) == (None, None)


def test_a_number_without_percent_keeps_its_unit_and_gets_a_digit_more_than_its_cells(judge):
    claim = judge(mfm_loss=[0.5, 0.75])["rises"]

    # The largest is printed with three digits, 0.750; a difference with one more.
    (step,) = claim.steps
    assert (claim.unit, claim.verdict) == ("", "inconclusive")
    assert step.printed == "−0.3750"
    assert step.printed_interval.startswith("−")
    assert "-" not in step.printed_interval


def test_cells_without_numbers_are_named_each_with_its_reason(judge):
    claim = judge(mfm_full=[], folk_full=[82.0])["gain"]

    (step,) = claim.steps
    assert dataclasses.astuple(step) == (
        "main/mfm/full", "main/folk/full", None, None, None, "", "",
    )  # fmt: skip
    assert claim.verdict == "not attempted"
    assert claim.note == (
        "main/mfm/full has no number (not run: mfm); one seed in main/folk/full, so no interval"
    )


def test_claims_are_stored_with_the_columns_that_they_promise(judge, tmp_path):
    path = tmp_path / "claims.parquet"
    claims = list(judge().values())

    write_claims(claims, path)
    assert pq.read_schema(path).equals(CLAIMS_SCHEMA)
    assert read_claims(path) == claims
    write_claims([], path)
    assert read_claims(path) == []
    assert pq.read_schema(path).equals(CLAIMS_SCHEMA)
