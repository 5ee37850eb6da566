"""A job to be recorded."""

import pytest

from tests.toy import opened


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def job(here):
    """Open a record for a small job; keyword arguments change what it says."""

    def open_it(stage="pretrain", run="folk-s0", **changes):
        return opened(stage, run, **changes)

    return open_it
