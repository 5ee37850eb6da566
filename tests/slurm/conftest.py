"""The SLURM cluster that the tests of this folder share, and a study driven on it."""

from collections.abc import Iterator

import pytest

from tests.slurm.lab import Lab, missing_packages

CLUSTERS = ("shared_lab", "shared_lab_with_accounting")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Every test that uses a cluster carries the mark, so that none has to remember it."""
    for item in items:
        if set(CLUSTERS) & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.slurm)


def cluster(accounting: bool) -> Iterator[Lab]:
    if packages := missing_packages(accounting):
        names = " ".join(packages)
        pytest.skip(f"no SLURM here; apt-get install --no-install-recommends {names}")
    with Lab(accounting) as lab:
        yield lab


@pytest.fixture(scope="session")
def shared_lab() -> Iterator[Lab]:
    yield from cluster(accounting=False)


@pytest.fixture(scope="session")
def shared_lab_with_accounting() -> Iterator[Lab]:
    yield from cluster(accounting=True)


@pytest.fixture
def lab(shared_lab: Lab) -> Iterator[Lab]:
    """A cluster without accounting, with all its daemons and an empty queue."""
    yield shared_lab
    shared_lab.repair()


@pytest.fixture
def lab_with_accounting(shared_lab_with_accounting: Lab) -> Iterator[Lab]:
    """A cluster with slurmdbd, so with a working sacct; its account is called lab."""
    yield shared_lab_with_accounting
    shared_lab_with_accounting.repair()
