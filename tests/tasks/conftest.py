"""A few prepared scenes, made once."""

import pytest

from folk.data.prepare import prepare_scenes


@pytest.fixture(scope="session")
def few_scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("few") / "scenes"
    prepare_scenes(folder, num_train=150, num_val=20, num_unlabelled=30, size=32)
    return folder
