"""What the stages start from: a few prepared scenes, made once, and small encoders."""

import pytest
import torch

from folk.data.prepare import prepare_scenes
from tests import toy


@pytest.fixture(scope="session")
def few_scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("few") / "scenes"
    prepare_scenes(folder, num_train=150, num_val=20, num_unlabeled=30, size=32)
    return folder


@pytest.fixture(scope="session")
def store_encoder(tmp_path_factory):
    """Stores an untrained encoder for images of 32 px, always the same; gives its folder."""

    def store(timm_name, timm_args):
        folder = tmp_path_factory.mktemp("encoder")
        torch.manual_seed(0)
        toy.store_encoder(folder, timm_name, timm_args, method="none", run="x-s0")
        return folder

    return store
