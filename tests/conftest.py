"""Shapes written in signatures are checked in every test; CI does not let a test be skipped."""

import os

import pytest
from jaxtyping import install_import_hook

install_import_hook("folk", "beartype.beartype")

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
