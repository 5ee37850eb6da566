"""Snakemake as a user calls it on a login node, on a cluster of the tests."""

import subprocess
import sys
from pathlib import Path

from tests.slurm.lab import Lab

PROFILE = ("--workflow-profile", "workflow/profiles/slurm")
# A site waits minutes before it asks; tests would rather not.
POLLING = (
    *("--folk-slurm-init-seconds-before-status-checks", "3"),
    *("--seconds-between-status-checks", "1"),
)
MINUTES = 60.0


def driver_command(lab: Lab, *arguments: str) -> list[str]:
    """The call of snakemake."""
    account = ["--default-resources", "slurm_account=lab"] if lab.site.accounting else []
    return [sys.executable, "-m", "snakemake", *PROFILE, *POLLING, *account, *arguments]


def start_driver(
    lab: Lab, folder: Path, *arguments: str, **environment: str
) -> subprocess.Popen[str]:
    """Start snakemake in a copy of the repository; what it says goes to driver.log there."""
    with (folder / "driver.log").open("a", encoding="utf-8") as log:
        return subprocess.Popen(
            driver_command(lab, *arguments),
            cwd=folder,
            env={**lab.environment, "OMP_NUM_THREADS": "1", **environment},
            stdout=log,
            stderr=log,
            text=True,
            start_new_session=True,  # as under tmux: what ends a test does not end a driver twice
        )


def run_driver(
    lab: Lab, folder: Path, *arguments: str, seconds: float = 10 * MINUTES, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run snakemake to its end; `stdout` is all that it said.

    AssertionError: it did not end within `seconds`; it is killed then.
    """
    log = folder / "driver.log"
    before = log.stat().st_size if log.exists() else 0
    driver = start_driver(lab, folder, *arguments, **environment)
    try:
        status = driver.wait(seconds)
    except subprocess.TimeoutExpired:
        driver.kill()
        driver.wait()
        raise AssertionError(f"no end after {seconds} s:\n{log.read_text()[-4000:]}") from None
    said = log.read_bytes()[before:].decode()
    return subprocess.CompletedProcess(driver.args, status, said, "")
