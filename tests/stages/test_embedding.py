"""The features of a folder of images are those of the encoder, by the name of each image."""

import os

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from folk.cli.app import app
from folk.data.transforms import unit_range
from folk.evidence.core.errors import InputError
from folk.models.encoder import encode, read_encoder_info
from folk.stages.embedding import embed
from tests.faults.table import fault
from tests.toy import store_encoder

TINY_VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 2, "num_heads": 2}


@pytest.fixture
def encoder(tmp_path):
    return store_encoder(tmp_path / "encoder", "vit_tiny_patch16_224", TINY_VIT).eval()


@pytest.fixture
def images(tmp_path):
    """Three images of the encoder's own size, and files that are none."""
    folder, rng = tmp_path / "images", np.random.default_rng(0)
    for name in ("b.png", "cats/a.PNG", "cats/more/c.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)).save(folder / name)
    (folder / "README.txt").write_text("notes")
    (folder / ".hidden.png").write_text("no image")
    return folder


def call(tmp_path, *more):
    words = ["embed", tmp_path / "images", "--encoder", tmp_path / "encoder"]
    words += ["--out", tmp_path / "out/features.parquet", "--device", "cpu", *more]
    return CliRunner().invoke(app, [str(word) for word in words])


@pytest.mark.parametrize("feature", ["cls", "mean", "cls-and-mean"])
def test_each_image_has_the_feature_of_the_encoder(tmp_path, encoder, images, feature):
    assert call(tmp_path, "--feature", feature, "--batch", 2).exit_code == 0

    table = pq.read_table(tmp_path / "out/features.parquet")
    assert table["key"].to_pylist() == ["b.png", "cats/a.PNG", "cats/more/c.png"]
    shown = [
        torch.from_numpy(np.array(Image.open(images / key))) for key in table["key"].to_pylist()
    ]
    with torch.no_grad():
        found = encode(encoder, (unit_range(torch.stack(shown).permute(0, 3, 1, 2)) - 0.5) / 0.25)
    wanted = {"cls": [found.pooled("cls")], "mean": [found.pooled("mean")]}
    wanted["cls-and-mean"] = [*wanted["cls"], *wanted["mean"]]
    got = torch.tensor(table["feature"].to_pylist())
    torch.testing.assert_close(got, torch.cat(wanted[feature], dim=1), rtol=1e-4, atol=1e-5)


def test_the_file_names_its_encoder_and_the_versions(tmp_path, encoder, images):
    count, length = embed(
        images, tmp_path / "encoder", tmp_path / "features.parquet",
        feature="cls", batch=3, device=torch.device("cpu"),
    )  # fmt: skip

    schema = pq.read_schema(tmp_path / "features.parquet")
    stated = {key.decode(): value.decode() for key, value in schema.metadata.items()}
    assert (count, length) == (3, 24)
    kind = schema.field("feature").type
    assert (str(kind.value_type), kind.list_size) == ("float", 24)
    assert stated["encoder_sha256"] == read_encoder_info(tmp_path / "encoder").sha256
    assert (stated["run"], stated["feature"], stated["size"]) == ("mfm-s0", "cls", "32")
    assert stated["torch"] == torch.__version__


@fault(
    "Images",
    "`embed` meets a file that is no image",
    "refused by its name; a file of features that was there stays",
)
def test_an_image_that_cannot_be_read_is_named_and_nothing_is_written(tmp_path, encoder, images):
    call(tmp_path)
    before = (tmp_path / "out/features.parquet").read_bytes()
    (images / "cats/broken.jpg").write_bytes(b"\xff\xd8\xff no image")

    done = call(tmp_path)

    assert isinstance(done.exception, InputError)
    assert f"{images / 'cats/broken.jpg'}: expected a whole image" in str(done.exception)
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["features.parquet"]
    assert (tmp_path / "out/features.parquet").read_bytes() == before


def test_a_name_that_is_no_utf_8_is_named(tmp_path, encoder, images):
    (images / "b.png").rename(os.fsdecode(os.fsencode(images) + b"/caf\xe9.png"))

    done = call(tmp_path)

    assert str(done.exception) == rf"{images}/caf\udce9.png: its name is no UTF-8; rename it"


@pytest.mark.parametrize(
    ("folder", "message"), [("images/none", "no image in this folder"), ("encoder", "no image")]
)
def test_a_folder_without_images_is_refused(tmp_path, encoder, images, folder, message):
    with pytest.raises(InputError, match=message):
        embed(
            tmp_path / folder, tmp_path / "encoder", tmp_path / "features.parquet",
            feature="cls", batch=3, device=torch.device("cpu"),
        )  # fmt: skip
