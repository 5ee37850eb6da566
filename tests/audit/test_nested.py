"""Several fine-tunings of one run: each is named, and none passes for another."""

import json
import re
import shutil
from pathlib import Path

import pytest
from rich.console import Console

from folk.evidence.audit.checks.cells import check_cells
from folk.evidence.audit.checks.files import check_files
from folk.evidence.audit.checks.records import check_records
from folk.evidence.audit.narrate import narrate
from folk.evidence.audit.subject import Subject
from folk.evidence.core.digest import digest_file
from folk.evidence.record.schema import read_record, record_id
from folk.evidence.study.study import load_study
from folk.stages.table import STAGES
from tests.audit.conftest import (
    NUMBERS,
    PUBLISHED,
    RESULTS,
    STUDY,
    TOLD,
    Toy,
    finetune,
    prepare,
    pretrain,
    scaffold,
)

HITS = {(0, 0): 10, (0, 3): 12, (1, 0): 14, (1, 3): 18}


@pytest.fixture
def nested(tmp_path, monkeypatch):
    """Two runs of one row, each fine-tuned with the seeds 0 and 3."""
    monkeypatch.chdir(tmp_path)
    study = STUDY.replace("data: scenes}\n  few", "data: scenes, seeds: [0, 3]}\n  few")
    for line in ("  late: ", "      max: ", "  few: "):
        (old,) = re.findall(rf"^{line}.*\n", study, re.MULTILINE)
        study = study.replace(old, "")
    study = study.replace("rows: [mfm, late]", "rows: [mfm]").split("claims:")[0]
    scaffold(study, NUMBERS)
    prepare(digest_file(Path("images.tar")).md5)
    for seed in (0, 1):
        pretrain(f"mfm-s{seed}", seed)
    for (seed, again), hits in HITS.items():
        finetune(f"mfm-s{seed}", f"full-f{again}", seed, hits, again)
    toy = Toy(dict(TOLD))
    toy.tabulate()
    return toy


def wrong():
    """What an audit finds wrong with records and cells: place and words."""
    path = Path("config/toy.yaml")
    subject = Subject(load_study(path, STAGES), path, RESULTS, PUBLISHED, {})
    # The toy was tabulated, not reported.
    findings = [
        *check_records(subject),
        *check_cells(subject, set(), check_files(subject, None)).findings,
    ]
    return [(f.place, f.says) for f in findings if f.wrong and "run snakemake again" not in f.says]


def test_a_nested_cell_names_every_fine_tuning_and_both_parts_of_its_scatter(nested):
    found = nested.explain("main/mfm/full")

    assert found.contradicted == []
    assert [(run.seed, run.finetune_seed, run.value) for run in found.runs] == [
        (0, 0, 50.0), (0, 3, 60.0), (1, 0, 70.0), (1, 3, 90.0),
    ]  # fmt: skip
    assert [part.name for run in found.runs for part in run.parts][1] == "mfm-s0/full-f3"
    assert (found.number.n, found.number.value) == (2, 67.5)
    assert found.number.std_finetune == pytest.approx(125**0.5)
    # Means 55 and 80: variance 312.5, less 125 / 2.
    assert found.number.std_pretrain == pytest.approx(250**0.5)
    console = Console(width=120)
    with console.capture() as shown:
        console.print(narrate(found))
    assert "of pre-training (between runs) 15.81" in shown.get()


def test_a_nested_study_that_is_as_it_was_has_nothing_wrong(nested):
    assert wrong() == []


def test_fine_tunings_of_two_seeds_cannot_be_swapped(nested):
    one, other = (RESULTS / f"finetune/mfm-s0/full-f{seed}" for seed in (0, 3))
    shutil.move(one, "aside"), shutil.move(other, one), shutil.move("aside", other)

    places = {place for place, _ in wrong()}

    assert {f"{one}/record.json", f"{other}/record.json"} <= places
    assert not nested.explain("main/mfm/full").holds


def test_a_record_with_another_fine_tuning_seed_is_named(nested):
    path = RESULTS / "finetune/mfm-s0/full-f3/record.json"
    record = read_record(path) | {"finetune_seed": 0}
    path.write_text(json.dumps(record | {"id": record_id(record)}))

    assert (path.as_posix(), "expected the fine-tuning seed 3, got 0") in wrong()
    contradicted = "; ".join(nested.explain("main/mfm/full").contradicted)
    assert "seed 0, fine-tuning seed 0, not of mfm-s0/full-f3" in contradicted
