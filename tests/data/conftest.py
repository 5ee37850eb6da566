"""A small prepared data set, made once."""

import pytest

from folk.data.prepare import prepare_scenes
from folk.data.shards import PreparedData


@pytest.fixture(scope="session")
def scenes_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prepared") / "scenes"
    prepare_scenes(folder, num_train=60, num_val=20, num_unlabeled=30)
    return folder


@pytest.fixture(scope="session")
def scenes(scenes_folder):
    return PreparedData.open(scenes_folder)
