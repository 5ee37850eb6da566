"""A job to be recorded."""

import pytest

from folk.evidence.record.record import open_record

CODE = "c" * 64


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def job(here):
    """Open a record for a small job; keyword arguments change what it says."""

    def open_it(**changes):
        fields = {
            "study": "demo",
            "stage": "pretrain",
            "run": "folk-s0",
            "evaluation": None,
            "argv": ["python", "-m", "folk", "pretrain"],
            "recipe": {"optim": {"epochs": 3}},
            "recipe_digest": "d1",
            "seed": 0,
            "inputs": {},
            "code": CODE,
            "scale": "demo",
        } | changes
        work = here / "results/demo/work" / fields["stage"] / fields["run"]
        return open_record(work, **fields)

    return open_it
