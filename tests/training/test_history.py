"""The history of a training survives whoever else still writes to it."""

import pytest

from folk.evidence.core.errors import InputError
from folk.training.history import History, read_history
from tests.faults.table import fault


@fault(
    "Processes",
    "two trainers write one history",
    "that of the older one goes to a file that nobody reads",
)
def test_a_trainer_that_was_thought_dead_adds_nothing(tmp_path):
    path = tmp_path / "work/metrics.jsonl"
    lost = History(path, 0)
    for update in (1, 2, 3):
        lost.add(update, update / 10, {"loss": 1.0})

    resumed = History(path, 2)
    lost.add(4, 0.4, {"loss": 7.0})
    resumed.add(3, 0.3, {"loss": 1.0})
    lost.close()
    resumed.close()

    assert [(line["step"], line["loss"]) for line in read_history(path)] == [
        (1, 1.0), (2, 1.0), (3, 1.0)
    ]  # fmt: skip


@fault(
    "Disk",
    "the disk is full when a history is cut back to its checkpoint",
    "refused; the history stays whole",
)
def test_a_history_that_cannot_be_cut_back_is_left_whole(tmp_path, monkeypatch):
    path = tmp_path / "metrics.jsonl"
    before = History(path, 0)
    before.add(1, 0.1, {"loss": 1.0})
    before.close()
    monkeypatch.setattr("folk.evidence.core.files.flush_to_disk", _full)

    with pytest.raises(InputError, match=r"metrics\.jsonl: cannot be written \(No space left"):
        History(path, 1)
    assert [line["step"] for line in read_history(path)] == [1]


def _full(_path):
    raise OSError(28, "No space left on device")
