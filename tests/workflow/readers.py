"""Others' programs that read what we give away, in an environment of their own; see crate.in."""

from pathlib import Path

import pytest

READERS = Path(__file__).parents[2] / ".venv/crate/bin"
needs_readers = pytest.mark.skipif(
    not READERS.is_dir(), reason="needs the programs that read exports: make .venv/crate/ready"
)
