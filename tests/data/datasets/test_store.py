"""A preparation that is killed goes on where it was, and ends with the same bytes."""

import json
import signal
import subprocess
import sys

import pytest

from folk.data import store
from folk.data.datasets import miniature
from folk.data.datasets.kinds import read_archives
from folk.data.decode import check_image
from folk.data.shards import PreparedData
from folk.data.store import store_images
from folk.evidence.core.errors import InputError
from tests.faults.table import fault

# Prepares in a process of its own and kills it, as a machine does, while image 8 is checked.
KILLED = """
import os, signal, sys
from pathlib import Path
from folk.data import store
store.MAX_ROWS_PER_SHARD = 2
check, calls = store.check_image, []
def dying(data, *, where):
    calls.append(1)
    if len(calls) == 8:
        os.kill(os.getpid(), signal.SIGKILL)
    return check(data, where=where)
store.check_image = dying
from tests.data.datasets.test_store import run
run(Path(sys.argv[1]), Path(sys.argv[2]))
"""


def run(source, folder, identity="same", **values):
    names = {
        "train": "ILSVRC2012_img_train.tar",
        "val": "ILSVRC2012_img_val.tar",
        "devkit": "ILSVRC2012_devkit_t12.tar.gz",
    }
    archives = {name: source / file for name, file in names.items()}
    values = {"name": "x", "sources": [], "identity": identity, "threads": 1} | values
    return store_images(read_archives("imagenet", archives, 3), folder, **values)


@pytest.fixture
def source(tmp_path):
    miniature.imagenet(tmp_path / "in")
    return tmp_path / "in"


@pytest.fixture
def killed(source, tmp_path, monkeypatch):
    """A folder with the work of a process that was killed."""
    monkeypatch.setattr(store, "MAX_ROWS_PER_SHARD", 2)
    command = [sys.executable, "-c", KILLED, str(source), str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL, done.stderr
    return tmp_path / "out"


def stamps(folder):
    return {p.name: (p.stat().st_ino, p.stat().st_mtime_ns) for p in folder.glob("*.arrow")}


def counted_checks(monkeypatch):
    calls = []

    def counting(data, *, where):
        calls.append(1)
        return check_image(data, where=where)

    monkeypatch.setattr(store, "check_image", counting)
    return calls


def test_a_killed_preparation_leaves_no_data_set(killed):
    assert [p.name for p in killed.iterdir()] == ["partial"]
    with pytest.raises(InputError, match=r"dataset\.json: no such file"):
        PreparedData.open(killed)


@fault(
    "Disk",
    "a killed `prepare` of archives",
    "the next start goes on after the last whole shard, with the same data set at its end",
    lost="the shard that was being written",
)
def test_a_killed_preparation_goes_on_after_its_last_whole_shard(
    killed, source, tmp_path, monkeypatch
):
    before = stamps(killed / "partial/shards")
    assert before
    calls = counted_checks(monkeypatch)

    assert run(source, killed) == {"train": 9, "val": 4}

    after = stamps(killed / "shards")
    assert {name: after[name] for name in before} == before
    assert len(calls) == 13 - 2 * len(before)
    assert not (killed / "partial").exists()
    run(source, tmp_path / "whole")
    for file in ("dataset.json", "manifest.parquet"):
        assert (killed / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
    assert len(PreparedData.open(killed).split("train")) == 9


@fault(
    "Processes",
    "a `prepare` of archives that is killed between its data set and its record",
    "the next start takes the finished data set",
)
def test_what_is_finished_is_not_made_again_until_it_is_published(source, tmp_path, monkeypatch):
    run(source, tmp_path / "out")
    calls = counted_checks(monkeypatch)

    assert run(source, tmp_path / "out") == {"train": 9, "val": 4}
    assert calls == []
    (tmp_path / "out/dataset.json").unlink()
    assert run(source, tmp_path / "out") == {"train": 9, "val": 4}
    assert len(calls) == 13


def test_unfinished_work_of_another_job_is_not_continued(killed, source, monkeypatch):
    calls = counted_checks(monkeypatch)

    run(source, killed, identity="another recipe")

    assert len(calls) == 13


@fault(
    "Disk",
    "a shard of an unfinished `prepare` that has lost its end",
    "it is made again",
    lost="that shard",
)
def test_a_shard_that_lost_its_end_is_made_again(killed, source, tmp_path):
    shard = killed / "partial/shards/train-00001.arrow"
    shard.write_bytes(shard.read_bytes()[:-1])

    run(source, killed)

    PreparedData.open(killed)
    run(source, tmp_path / "whole")
    assert (killed / "dataset.json").read_bytes() == (tmp_path / "whole/dataset.json").read_bytes()


def test_a_preparation_that_fails_leaves_an_older_data_set_as_it_was(source, tmp_path):
    out = tmp_path / "out"
    run(source, out)
    before = (out / "dataset.json").read_bytes()
    train = miniature.imagenet_images()
    train[miniature.WNIDS[2]]["n02085620_2.JPEG"] = b"no image"
    miniature.imagenet(source, train=train)

    with pytest.raises(InputError, match=r"n02085620_2\.JPEG"):
        run(source, out, identity="other archives")

    assert (out / "dataset.json").read_bytes() == before
    PreparedData.open(out)


def test_too_few_images_make_no_data_set(source, tmp_path):
    with pytest.raises(InputError, match=r"10 images of split 'train'.*got 9"):
        run(source, tmp_path / "out", expected={"train": 10, "val": 4})
    assert not (tmp_path / "out/dataset.json").exists()


def test_the_number_of_threads_changes_nothing(source, tmp_path):
    for threads in (1, 5):
        run(source, tmp_path / str(threads), threads=threads)

    said = [json.loads((tmp_path / n / "dataset.json").read_text()) for n in ("1", "5")]
    assert said[0] == said[1]
