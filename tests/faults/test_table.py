"""The page of faults is what the tests say."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow


def test_the_page_of_faults_is_made_from_the_tests():
    done = subprocess.run(
        [sys.executable, "-m", "tests.faults.table"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
