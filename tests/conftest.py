"""Shapes written in signatures are checked in every test; CI does not let a test be skipped."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from jaxtyping import install_import_hook

# Without them when mutants are run: a shape that is broken should be seen by a test.
if not os.environ.get("FOLK_WITHOUT_SHAPES"):
    install_import_hook("folk", "beartype.beartype")

from tests import toy

# The same examples on every machine; `--hypothesis-profile search` looks for new ones, and
# mutants, each of which meets the tests anew, get fewer.
COMMON = {
    "deadline": None,
    "suppress_health_check": [HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
}
settings.register_profile(
    "suite", derandomize=True, database=None, max_examples=60, print_blob=False, **COMMON
)
settings.register_profile(
    "mutants", derandomize=True, database=None, max_examples=15, print_blob=False, **COMMON
)
settings.register_profile("search", max_examples=1000, **COMMON)
settings.load_profile("suite")


@pytest.fixture
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The toy study, finished, in a current folder of its own."""
    monkeypatch.chdir(tmp_path)
    toy.finish()
    return tmp_path


# What a machine may lack even in CI; everything else that is skipped there fails the run.
MAY_BE_MISSING = ("needs a GPU",)


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a CI run in which a test was skipped for a reason of our own making."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if not os.environ.get("CI") or reporter is None:
        return
    reasons = [str(report.longrepr) for report in reporter.stats.get("skipped", [])]
    silent = [reason for reason in reasons if not any(may in reason for may in MAY_BE_MISSING)]
    if silent:
        reporter.write_line(f"skipped in CI, which counts as failed: {'; '.join(silent)}")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.fixture
def hears_ctrl_c() -> Iterator[None]:
    """A shell starts its background jobs deaf to Ctrl-C, and their children inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)
