"""A checkpoint that cannot be written leaves the one before it, and one line."""

import resource
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from folk.evidence.core.errors import InputError
from folk.training.checkpoint import load_checkpoint, save_checkpoint
from tests.faults.table import fault


@pytest.fixture
def small_disk() -> Iterator[None]:
    """A limit on the size of files, which stands for a full disk."""
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)


@fault(
    "Disk",
    "the disk is full while a checkpoint is written",
    "refused; the checkpoint before it stands",
    lost="what came after that checkpoint",
)
def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path, small_disk: None):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(path, "identity", 1, {"weight": torch.zeros(10)})
    with pytest.raises(InputError, match=r"checkpoint\.pt: .* update 2 .* \(File too large\)"):
        save_checkpoint(path, "identity", 2, {"weight": torch.zeros(100_000)})

    found = load_checkpoint(path, "identity")
    assert found is not None
    assert found[0] == 1
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint.pt"]
