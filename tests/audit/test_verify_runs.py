"""A study of several seeds: lies between them are named, and work grows as the runs do."""

import sys
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.audit.conftest import RESULTS
from tests.audit.many_runs import audit, fill

pytestmark = pytest.mark.slow

_OPENED: Counter[str] | None = None  # an audit hook stays for good, so it is switched off instead


def _note(event: str, arguments: tuple) -> None:
    if _OPENED is None or event not in ("open", "os.scandir", "os.listdir"):
        return
    place = str(arguments[0])
    if "results/toy" in place and "folk-verify-" not in place:
        _OPENED[event] += 1


@pytest.fixture(scope="module", autouse=True)
def hook():
    sys.addaudithook(_note)


def wrong(found):
    return {(f.word, f.place.removeprefix("results/toy/")): set(f.cells) for f in found.findings
            if f.wrong}  # fmt: skip


def work(folder: Path, rows: int, monkeypatch) -> Counter[str]:
    """How often an audit of so many rows opens files and lists folders of the results."""
    global _OPENED
    folder.mkdir()
    monkeypatch.chdir(folder)
    fill(rows, 2)
    opened: Counter[str] = Counter()
    real = pq.ParquetFile
    # Arrow opens files by itself, which Python does not hear of.
    monkeypatch.setattr(
        pq, "ParquetFile", lambda *a, **k: (opened.update(["parquet"]), real(*a, **k))[1]
    )
    _OPENED = opened
    try:
        found = audit()
    finally:
        _OPENED = None
        monkeypatch.undo()
    assert wrong(found) == {}
    assert found.checked.records == 3 + 4 * rows
    return opened


def test_twice_the_runs_are_twice_the_files_read(tmp_path, monkeypatch):
    few, more, most = (work(tmp_path / str(rows), rows, monkeypatch) for rows in (2, 4, 8))

    for event in ("open", "os.scandir", "parquet"):
        assert more[event] > few[event] > 0, event
        # A line through the first two points meets the third: nothing is read once per pair.
        assert most[event] - more[event] == 2 * (more[event] - few[event]), (event, few, more, most)


def test_predictions_of_two_seeds_that_were_swapped_are_named_on_both_sides(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fill(2, 2)
    one, other = (RESULTS / f"finetune/r1-s{seed}/full/predictions.parquet" for seed in (0, 1))
    temp = one.with_name("aside")
    one.rename(temp), other.rename(one), temp.rename(other)

    assert wrong(audit()) == {
        ("tampered", f"finetune/r1-s{seed}/full/predictions.parquet"): {"main/r1/full"}
        for seed in (0, 1)
    }


def test_whole_evaluations_of_two_seeds_that_were_swapped_are_named_on_both_sides(
    tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    fill(2, 2)
    one, other = (RESULTS / f"finetune/r1-s{seed}/full" for seed in (0, 1))
    temp = one.with_name("aside")
    one.rename(temp), other.rename(one), temp.rename(other)

    found = wrong(audit())

    for seed in (0, 1):
        assert found["tampered", f"finetune/r1-s{seed}/full/record.json"] == {"main/r1/full"}
    assert {cell for cells in found.values() for cell in cells} == {"main/r1/full"}
