"""Two studies beside each other: every difference has a reason in the records, or is named."""

import copy
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from folk.evidence.audit.compare import ComparedCell, Comparison, Results, compare
from folk.evidence.audit.job_differences import reasons
from folk.evidence.results.metrics.intervals import difference_interval
from folk.stages.table import STAGES
from tests.audit.conftest import RESULTS, Toy, do, finetune, predict
from tests.toy import edit, folk, replace_in

FULL, PRETRAIN = "main/mfm/full", "pretrain/mfm-s0"


@pytest.fixture
def other(toy: Toy, tmp_path: Path) -> Path:
    """A copy of the repository with the finished study; jobs that run then run there."""
    shutil.copytree(tmp_path / "toy", tmp_path / "other")
    os.chdir(tmp_path / "other")  # `toy` goes back
    return tmp_path / "toy"


@pytest.fixture
def record(pattern: Path) -> Any:
    return json.loads((pattern / RESULTS / "pretrain/mfm-s1/record.json").read_text())


def compared(one: Path) -> Comparison:
    """The copy in the current folder, compared with the study that it was copied from."""
    return compare(Results(one / RESULTS), Results(RESULTS), STAGES)


def cell(one: Path, name: str = FULL) -> ComparedCell:
    (found,) = (each for each in compared(one).cells if each.id == name)
    return found


def alter(place: str, change: Callable[[Any], object]) -> None:
    """Change a record, name it anew in the records of its readers, and make the cells again."""
    _rename(RESULTS / place / "record.json", change)
    Toy({}).tabulate()


def _rename(path: Path, change: Callable[[Any], object]) -> None:
    old = json.loads(path.read_text())["id"]
    edit(path, change, new_id=True)
    new = json.loads(path.read_text())["id"]
    for reader in RESULTS.glob("[a-z]*/**/record.json"):
        if old in json.loads(reader.read_text())["parents"]:
            _rename(
                reader, lambda r: r.update(parents=[new if p == old else p for p in r["parents"]])
            )


def other_weights(record: Any) -> None:
    (entry,) = (each for each in record["outputs"] if each["name"] == "encoder.safetensors")
    entry["sha256"] = "e" * 64


def altered(change: Callable[[Any], object]) -> Callable[[Any], None]:
    """Other weights, and one more change."""

    def both(record: Any) -> None:
        other_weights(record)
        change(record)

    return both


def test_a_copy_is_equal_in_every_cell(other):
    found = compared(other)

    assert {each.state for each in found.cells} == {"equal"}
    assert (found.only_one, found.only_other) == ([], [])
    assert cell(other).predictions.identical == cell(other).predictions.jobs == 2
    done = folk("compare", other / RESULTS, RESULTS)
    assert done.returncode == 0
    assert "8 cells are equal, 0 differ as explained, 0 unexplained" in done.stdout


def test_a_difference_has_its_interval_over_seeds_and_its_images(other):
    finetune("mfm-s0", "full", 0, 13)
    Toy({}).tabulate()

    found = cell(other)

    assert found.difference == pytest.approx(100 * 3 / 20 / 2)
    span = difference_interval([65.0, 70.0], [50.0, 70.0])
    assert (found.low, found.high) == pytest.approx((span.low, span.high))
    said = found.predictions
    assert (said.jobs, said.identical, said.differ, said.of) == (2, 1, 3, 20)


def test_other_bytes_of_equal_records_are_unexplained(other):
    finetune("mfm-s0", "full", 0, 13)
    Toy({}).tabulate()

    found = cell(other)
    assert (found.state, found.why) == ("unexplained", [])
    assert found.unexplained == ["finetune/mfm-s0/full: other bytes: predictions.parquet"]
    assert cell(other, "main/mfm/max").state == "unexplained"  # it reads the same evaluation
    done = folk("compare", other / RESULTS, RESULTS)
    assert done.returncode == 1
    assert "unexplained: finetune/mfm-s0/full: other bytes: predictions.parquet" in done.stdout


def test_other_bytes_are_unexplained_though_the_number_is_the_same(other):
    alter(PRETRAIN, other_weights)

    found = cell(other)

    assert (found.state, found.difference) == ("unexplained", 0)
    assert found.unexplained == [f"{PRETRAIN}: other bytes: encoder.safetensors"]


def test_what_follows_from_other_inputs_is_explained_by_what_made_them_differ(other):
    def longer(record: Any) -> None:
        record["recipe"]["optim"]["epochs"] = 5
        record["recipe_digest"] = "e"

    finetune("mfm-s0", "full", 0, 13)
    alter(PRETRAIN, altered(longer))

    found = cell(other)
    assert found.state == "explained"
    assert found.why == ["pretrain: recipe optim.epochs: 3 -> 5"]
    assert folk("compare", other / RESULTS, RESULTS).returncode == 0


def put(section: str, **values: Any) -> Callable[[Any], None]:
    return lambda record: record[section].update(values)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (put("hardware", cpu="Z80"), "processor: .* -> Z80"),
        (put("hardware", cpu_capability="SSE1"), "vector instructions: .* -> SSE1"),
        (put("hardware", gpus=["H100"]), "GPUs: none -> H100"),
        (put("geometry", threads=7), "threads: 1 -> 7"),
        (put("geometry", world_size=4), "processes: 1 -> 4"),
        (put("code", fingerprint="f" * 64), "code: [0-9a-f]{12} -> ffffffffffff"),
        (put("environment", lock_sha256="a" * 64), "environment lock: .* -> aaaaaaaaaaaa"),
        (put("environment", python="4.0"), "python: .* -> 4.0"),
        (put("environment", platform="Linux-with-musl"), "libc: .* -> musl"),
        (
            lambda record: record["environment"]["packages"].update(torch="9.9"),
            "torch: .* -> 9.9",
        ),
        (
            lambda record: record["environment"]["variables"].update(NVIDIA_TF32_OVERRIDE="1"),
            "NVIDIA_TF32_OVERRIDE: none -> 1",
        ),
    ],
)
def test_what_a_job_ran_on_and_by_is_a_reason(record, change, line):
    other = copy.deepcopy(record)
    change(other)

    (found,) = reasons(record, other)

    assert re.fullmatch(f"pretrain: {line}", found)


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record["hardware"].pop("cpu_capability"),  # a record of an older version
        lambda record: record.pop("geometry"),
        put("hardware", host="elsewhere", cores=99),
        put("code", commit="f" * 40),
        put("recipe", runtime={"a": 2}, about="other words"),
        lambda record: record["environment"]["variables"].update(CUDA_VISIBLE_DEVICES="3"),
    ],
)
def test_what_decides_no_result_is_no_reason(record, change):
    other = copy.deepcopy(record)
    change(other)

    assert reasons(record, other) == reasons(other, record) == []


def test_sums_on_a_gpu_are_a_reason_unless_the_recipe_orders_them(record):
    record["hardware"]["gpus"] = ["H100"]
    record["recipe"]["runtime"] = {"deterministic": False}
    ordered = copy.deepcopy(record)
    ordered["recipe"]["runtime"] = {"deterministic": True}

    assert reasons(ordered, ordered) == []
    (line,) = reasons(record, record)
    assert "on a GPU without runtime.deterministic" in line


def test_a_start_on_another_processor_is_a_reason_with_its_last_step(pattern):
    record = json.loads((pattern / RESULTS / PRETRAIN / "record.json").read_text())
    other = copy.deepcopy(record)
    other["restarts"][0]["cpu"] = "Z80"

    (line,) = reasons(record, other)

    assert line.startswith("pretrain: processor: ")
    assert " -> Z80 until step 7, then " in line


def test_other_images_are_named_by_their_archive_and_manifest(other):
    def of_other_images(record: Any) -> None:
        record["inputs"][0]["sha256"] = "a" * 64
        (entry,) = (each for each in record["outputs"] if each["name"] == "manifest.parquet")
        entry["sha256"] = "b" * 64

    alter("prepare/scenes", of_other_images)

    found = cell(other)
    assert found.state == "explained"
    assert [line.partition(" -> ")[2] for line in found.why] == ["a" * 12, "b" * 12]
    assert found.why[0].startswith("prepare: input archive images: ")
    assert found.why[1].startswith("prepare/scenes: manifest of the images: ")


def test_other_seeds_and_another_formula_explain_another_number(other):
    replace_in(Path("config/toy.yaml"), "seeds: [0, 1]", "seeds: [0]")
    replace_in(Path("config/toy.yaml"), "metric: top1_last, combine: max", "metric: top1_last")
    Toy({}).tabulate()

    assert cell(other).why == ["seeds: 0, 1 -> 0"]
    assert cell(other).low is None  # one seed has no interval
    seeds, formula = cell(other, "main/mfm/max").why
    assert (seeds, formula.split(":")[0]) == ("seeds: 0, 1 -> 0", "formula")
    assert cell(other, "main/mfm/max").state == "explained"


def test_a_number_that_one_study_lacks_has_its_reason(other):
    shutil.rmtree(RESULTS / "finetune/mfm-s1/few")
    Toy({}).tabulate()

    assert any(line.startswith(f"no number in {RESULTS}: not run") for line in
               cell(other, "main/mfm/max").why)  # fmt: skip


def test_what_measures_the_machine_is_explained_by_it(other):
    def write(work: Path) -> dict[str, float]:
        predict(work, 10)
        return {"top1_last": 0.5, "top1_best": 0.9, "images_per_second": 7.0}

    inputs = {
        "encoder": RESULTS / PRETRAIN / "encoder.safetensors",
        "dataset": RESULTS / "prepare/scenes/dataset.json",
    }
    do("finetune", "mfm-s0", inputs, write, "full", 0)
    Toy({}).tabulate()

    found = cell(other, "main/mfm/speed")
    assert found.state == "explained"
    assert found.why == ["images_per_second measures the machine and its load"]
    assert cell(other).state == "equal"


def test_a_number_that_no_predictions_tell_is_unexplained_as_well(other):
    path = RESULTS / "finetune/mfm-s0/full/metrics.json"
    path.write_text(path.read_text().replace("0.9", "0.8"))
    Toy({}).tabulate()

    assert cell(other, "main/mfm/best").state == "unexplained"
    assert cell(other).state == "equal"


def test_cells_of_one_study_alone_are_named(other):
    replace_in(Path("config/toy.yaml"), "      best:", "      peak:")
    Toy({}).tabulate()

    found = compared(other)

    assert found.only_one == ["main/mfm/best", "main/late/best"]
    assert found.only_other == ["main/mfm/peak", "main/late/peak"]
    assert (
        "only in other: main/mfm/peak, main/late/peak"
        in folk("compare", other / RESULTS, RESULTS).stdout
    )


def test_the_json_has_every_cell_and_who_made_it(other):
    said = json.loads(folk("compare", other / RESULTS, RESULTS, "--json").stdout)

    assert said["cells"][0]["id"] == FULL
    assert said["cells"][0]["predictions"]["identical"] == 2
    assert set(said["made_by"]) == {"one", "other"}


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (lambda: shutil.rmtree(RESULTS), "not a folder; give a study's results"),
        (lambda: (RESULTS / "cells.parquet").unlink(), "cells.parquet: invalid cells"),
        (lambda: (RESULTS / PRETRAIN / "record.json").unlink(), "missing record [0-9a-f]{12}"),
        (
            lambda: edit(RESULTS / PRETRAIN / "record.json", lambda r: r.update(seed=9)),
            "its id does not match its content",
        ),
    ],
)
def test_what_cannot_be_compared_has_status_2(other, spoil, line):
    spoil()

    done = folk("compare", other / RESULTS, RESULTS)

    assert done.returncode == 2
    assert re.search(line, done.stderr)
