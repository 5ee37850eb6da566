"""Names that no text can hold, and files that a group shares."""

import os
import stat
from pathlib import Path

import pytest
from PIL import Image

from folk.data.prepare import prepare_image_folder
from folk.evidence.adapters.mlflow_mirror import sync_study
from folk.evidence.core.errors import InputError, describe_os_error
from folk.evidence.core.files import write_text
from tests.faults.table import fault
from tests.toy import encoded, folk

RECIPE = Path("config/recipes/prepare/image-folder.yaml")


@pytest.fixture
def images(tmp_path):
    """Two classes of one image in both splits."""
    for number, split in enumerate(("train", "val")):
        for label in ("ant", "bee"):
            folder = tmp_path / "images" / split / label
            folder.mkdir(parents=True)
            color = (80 * number, 9, len(label) + 50 * (label == "bee"))
            (folder / "a.png").write_bytes(encoded(Image.new("RGB", (8, 8), color)))
    return tmp_path / "images"


def renamed(path: Path, name: bytes) -> None:
    """Give a file or a folder a name of any bytes."""
    path.rename(os.fsdecode(os.fsencode(path.parent) + b"/" + name))


@pytest.mark.parametrize(
    ("old", "name", "line"),
    [
        pytest.param(
            "train/bee/a.png",
            b"caf\xe9.png",
            r"train/bee/caf\udce9.png: its name is no UTF-8; rename it",
            marks=fault("Images", "a name in a folder of images that is no UTF-8", "refused"),
        ),
        pytest.param(
            "val/ant/a.png",
            b"a\nb.png",
            r"val/ant/a\nb.png: its name has control characters; rename it",
            marks=fault(
                "Images", "a name in a folder of images with control characters", "refused"
            ),
        ),
        ("train/ant", b"\x1b[31mant", r"train/\x1b[31mant: its name has control characters"),
        ("val/ant", b"b\xff", r"val/b\udcff: its name is no UTF-8"),
        ("val/ant/a.png", "a\u2028.png".encode(), r"val/ant/a\u2028.png: its name has control"),
    ],
)
def test_a_name_that_no_line_can_hold_is_refused(images, tmp_path, old, name, line):
    renamed(images / old, name)

    done = folk(
        "prepare", "--recipe", RECIPE, "--source", images, "--name", "x", "--out", tmp_path / "out"
    )

    assert done.returncode == 2
    *_, last = done.stderr.splitlines()
    assert f"{images}/{line}" in last
    assert last.isprintable()


def test_names_of_any_language_and_hidden_ones_are_taken_as_they_are(images, tmp_path):
    names = ["Bild 1.png", "写真\u30001.png", "Screenshot 1.00\u202fPM.png", "👩\u200d🔬.png"]
    for number, name in enumerate(names):
        file = images / "train/ant" / name
        file.write_bytes(encoded(Image.new("RGB", (8, 8), (9, 9, 9 * number))))
    (images / "train/ant/._x").write_bytes(b"")
    renamed(images / "train/ant/._x", b"._caf\xe9")

    counts = prepare_image_folder(images, tmp_path / "out")

    assert counts == {"train": 6, "val": 2}


@fault("Hostile input", "a refusal that quotes a name which is no UTF-8, or moves the cursor",
       "such letters are escapes; the failed record holds them too")  # fmt: skip
def test_what_a_refusal_quotes_is_printable():
    line = str(InputError("caf\udce9 \x1b[2J é 写真\nnext"))
    assert line == "caf\\udce9 \\x1b[2J é 写真\nnext"

    error = PermissionError(13, "Permission denied", "caf\udce9")
    assert str(describe_os_error(error)).startswith("caf\\udce9: Permission denied")


@fault("Config", "an option with a path that is no UTF-8", "refused before a record is opened")
def test_an_option_that_is_no_text_is_refused(images, tmp_path):
    renamed(images, b"caf\xe9")
    source = os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9")

    done = folk(
        "prepare", "--recipe", RECIPE, "--source", source, "--name", "x", "--out", tmp_path / "out"
    )

    assert done.returncode == 2
    assert done.stderr == f"error: {tmp_path}/caf\\udce9: no UTF-8; rename the file or folder\n"
    assert [path.name for path in tmp_path.iterdir()] == [os.fsdecode(b"caf\xe9")]


@fault("Disk", "a umask of a group that works in one folder",
       "every file follows it, MLflow's database and temp files too")  # fmt: skip
@pytest.mark.parametrize(("mask", "mode"), [(0o002, 0o664), (0o077, 0o600)])
def test_files_follow_the_umask(images, tmp_path, monkeypatch, mask, mode):
    monkeypatch.chdir(tmp_path)
    recipe = Path(__file__).parents[2] / RECIPE
    before = os.umask(mask)
    try:
        write_text(Path("text"), "x")
        done = folk(
            "prepare", "--recipe", recipe, "--source", images, "--study", "a", "--name", "x",
            "--out", "results/a/prepare/x",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert sync_study(Path("results/a"), None, "a").created == 1
    finally:
        os.umask(before)

    files = [path for path in Path("results").rglob("*") if path.is_file()]
    assert {"mlflow.db", "record.json", "dataset.json"} <= {path.name for path in files}
    wrong = {
        str(path): oct(stat.S_IMODE(path.stat().st_mode))
        for path in [Path("text"), *files]
        if stat.S_IMODE(path.stat().st_mode) != mode
    }
    assert wrong == {}
