"""A number says what it rests on, and a sum is no surer than its parts."""

import pytest

from folk.evidence.plan.figures import (
    BOUND,
    ESTIMATE,
    MEASURED,
    NOT_COUNTED,
    SCALED,
    Figure,
    total,
)
from folk.evidence.plan.jobs import Plan, PlannedJob
from folk.evidence.plan.tables import bytes_text


@pytest.mark.parametrize(
    ("bases", "shown"),
    [
        ([MEASURED, MEASURED], "4.0"),
        ([MEASURED, SCALED], "~ 4.0"),
        ([SCALED, BOUND], "≤ 4.0"),
        ([MEASURED, ESTIMATE], "~ 4.0"),
        ([ESTIMATE, NOT_COUNTED], "≥ 4.0"),
        ([NOT_COUNTED, NOT_COUNTED], "-"),
    ],
)
def test_a_sum_shows_its_least_sure_part(bases, shown):
    summed = total(Figure.of(2.0, basis) for basis in bases)

    assert str(summed) == shown
    assert sum(summed.to_json()["from"].values()) == 2


def test_sizes_have_units():
    assert bytes_text(Figure.of(343_194_624.0, ESTIMATE)) == "~ 343 MB"
    assert bytes_text(Figure.of(2.5e12, MEASURED)) == "2.5 TB"
    assert bytes_text(Figure.of(0.0, NOT_COUNTED)) == "-"


def job(gpus: int, threads: int, needed: bool = True) -> PlannedJob:
    hours = Figure.of(3.0, BOUND)
    return PlannedJob("x", "pretrain", needed, hours, gpus, threads, Figure())


def test_energy_is_gpu_hours_times_the_assumed_watts_and_cpu_hours_are_those_without_a_gpu():
    jobs = [job(8, 12), job(0, 2), job(8, 12, needed=False)]
    rest = Plan("x", jobs, [], [], watts=400.0).to_do()

    assert rest.gpu_hours.value == 24.0
    assert rest.cpu_hours.value == 6.0
    assert rest.energy.value == pytest.approx(24.0 * 0.4)
    assert rest.energy.to_json() == {"value": rest.energy.value, "from": {BOUND: 1}}
