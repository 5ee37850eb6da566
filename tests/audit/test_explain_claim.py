"""A claim tells which cells it reads and why its verdict follows, or what contradicts it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from folk.evidence.audit.explain_claim import explain_claim
from folk.evidence.audit.narrate import in_one_line, narrate
from folk.evidence.core.errors import InputError
from folk.evidence.results.claims import read_claims, write_claims
from tests.audit.conftest import CLAIMS, RESULTS, predict

RISES, FULL, MAX = "claims/rises", "main/mfm/full", "main/mfm/max"


def ask(toy, claim=RISES):
    return explain_claim(toy.explainer(), claim)


def text_of(found):
    console = Console(width=80, color_system=None)
    with console.capture() as captured:
        console.print(narrate(found))
    return captured.get()


def test_a_claim_has_its_cells_its_steps_and_a_verdict_with_its_rule(toy):
    found = ask(toy)

    assert found.holds, found.contradicted
    # (50, 70) and the better of two evaluations, (60, 70).
    assert [(c.cell, c.number.value, c.number.n, c.holds) for c in found.cells] == [
        (FULL, 60.0, 2, True), (MAX, 65.0, 2, True),
    ]  # fmt: skip
    (step,) = found.judged.steps
    assert (step.below, step.above, step.difference) == (FULL, MAX, 5.0)
    assert step.low < 5.0 < step.high
    assert found.judged.verdict == "undecided here"
    assert "but one reaches it" in found.rule
    assert any(f"{FULL}, {MAX}" in sentence for sentence in found.established)
    assert any("on trust" in sentence for sentence in found.not_established)
    assert any("nothing about ImageNet" in sentence for sentence in found.not_established)
    assert in_one_line(found) == f"holds  {RISES}  undecided here  follows from 2 cells"
    assert toy.explain(FULL).claims[0].verdict == "undecided here"


def test_a_claim_is_json_and_text_of_80_columns(toy):
    found = ask(toy)

    said = json.loads(json.dumps(found.as_json(), allow_nan=False))
    text = text_of(found)

    assert (said["format"], said["claim"], said["holds"]) == (2, RISES, True)
    assert said["cells"][0]["parents"] == toy.explain(FULL).parents
    assert max(map(len, text.splitlines())) <= 80
    assert f"reads     {FULL}: 60.0 ± 14.1 %, n = 2; holds" in text
    assert f"step      {MAX} over {FULL}: +5.00 points" in text
    assert "more than 50 seeds in each row would decide it: a chance of 80 %" in " ".join(
        text.split()
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"verdict": "reproduced"}, "says verdict 'reproduced', the cells give 'undecided here'"),
        ({"says": "it falls"}, "says says 'it falls'"),
        ({"margin": 0.5}, "says margin 0.5, the cells give None"),
    ],
)
def test_an_edited_claim_is_contradicted_by_its_cells(toy, changes, says):
    (stored,) = read_claims(CLAIMS)
    write_claims([replace(stored, **changes)], CLAIMS)

    found = ask(toy)

    (sentence,) = found.contradicted
    assert says in sentence
    assert in_one_line(found).startswith(f"CONTRADICTED  {RISES}")
    assert text_of(found).splitlines()[1] == "Contradicted"


def test_an_edited_step_is_contradicted_by_its_cells(toy):
    (stored,) = read_claims(CLAIMS)
    step = replace(stored.steps[0], difference=9.0)
    write_claims([replace(stored, steps=[step])], CLAIMS)

    assert ask(toy).contradicted == [
        f"claims.parquet says difference of {MAX} over {FULL} 9.0, the cells give 5.0"
    ]


def test_what_contradicts_a_cell_contradicts_the_claim_that_reads_it(toy):
    predict(RESULTS / "finetune/mfm-s0/few", 3)

    found = ask(toy)

    assert [cell.holds for cell in found.cells] == [True, False]
    assert all(sentence.startswith(f"{MAX}: ") for sentence in found.contradicted)
    assert not found.established


def test_a_claim_that_only_one_side_knows_is_contradicted(toy):
    study = Path("config/toy.yaml")
    before = study.read_text()
    write_claims([], CLAIMS)
    assert ask(toy).contradicted == ["claims.parquet has no claim 'rises'; run `report` again"]

    toy.tabulate()
    study.write_text(before[: before.index("claims:")])
    assert ask(toy).contradicted == ["claims.parquet has a claim 'rises', today's study has not"]


def test_a_wrong_name_suggests_the_nearest(toy):
    with pytest.raises(InputError, match="did you mean 'claims/rises'"):
        ask(toy, "claims/rise")
