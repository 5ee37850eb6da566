"""The examples do what they are there to show."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

EXAMPLE = Path("examples/folk_on_folder.py")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder with the encoder, and what the example printed."""
    folder = tmp_path_factory.mktemp("example")
    rng = np.random.default_rng(0)
    for number in range(16):
        path = folder / f"images/class{number % 2}/{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 48, 3), dtype=np.uint8)).save(path)
    done = subprocess.run(
        [sys.executable, "-m", "examples.folk_on_folder", "--images", folder / "images",
         "--timm-name", "vit_tiny_patch16_224", "--timm-args", '{"img_size": 32, "patch_size": 8}',
         "--size", "32", "--epochs", "2", "--batch", "8", "--lr", "1",
         "--out", folder / "encoder.safetensors"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder, done.stdout


@pytest.mark.slow
def test_folk_trains_on_a_folder_and_every_loss_is_finite(trained):
    _, said = trained

    losses = re.findall(r"(loss\S*) (\S+)", said)
    assert [name for name, _ in losses] == ["loss", "loss/distillation", "loss/reconstruction"] * 2
    assert all(np.isfinite(float(value)) and float(value) > 0 for _, value in losses)


@pytest.mark.slow
def test_the_lines_that_are_printed_last_load_the_encoder_that_moved(trained):
    folder, said = trained
    names = {}

    exec("\n".join(said.splitlines()[-3:]), names)

    weights = load_file(folder / "encoder.safetensors")
    encoder = names["encoder"]
    assert all(torch.equal(value, weights[key]) for key, value in encoder.state_dict().items())
    assert encoder(torch.zeros(1, 3, 32, 32)).shape == (1, 192)
    assert weights["norm.weight"].ne(1.0).any()  # where the teacher began


def test_the_example_is_read_in_a_minute():
    assert len(EXAMPLE.read_text(encoding="utf-8").splitlines()) <= 75
