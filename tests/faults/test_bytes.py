"""Whatever became of the bytes of a file: one line that names it, and nothing in it ever runs."""

import json
import os
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from folk.data.prepare import prepare_scenes
from folk.data.shards import PreparedData
from folk.evidence.audit.chain import Job
from folk.evidence.audit.seal import read_seal
from folk.evidence.core.canonical import chain_digest
from folk.evidence.core.errors import InputError
from folk.evidence.core.yaml_model import Document
from folk.evidence.record.adopted import read_adopted
from folk.evidence.record.schema import read_record
from folk.evidence.report import drawings, examples
from folk.evidence.report.curve_drawings import read_histories
from folk.evidence.results.cells import SCHEMA, read_cells
from folk.evidence.results.evidence import read_metrics
from folk.evidence.results.metrics.classification import read_predictions, write_predictions
from folk.evidence.results.metrics.segmentation import read_confusions, write_confusions
from folk.evidence.results.metrics.variants import accuracy_of_variants, write_variants
from folk.evidence.results.stored import write_rows
from folk.models.classifier import create_classifier, load_classifier, save_classifier
from folk.models.encoder import load_encoder, read_encoder_info
from folk.stages.images import keys_of
from folk.training.checkpoint import load_checkpoint, save_checkpoint
from folk.training.distributed import World
from folk.training.history import read_history
from folk.training.loop import Plan, train
from tests.faults.table import fault
from tests.toy import opened, store_encoder

VIT = {"img_size": 32, "patch_size": 16, "embed_dim": 12, "depth": 1, "num_heads": 2}
HASH = "0" * 64


@dataclass(frozen=True)
class Reader:
    """One reader of one file; `checks` says whether the form of the file has a checksum."""

    file: str
    read: Callable[[Path], Any]
    checks: bool = False


def read_images(folder: Path) -> None:
    table = PreparedData.open(folder).split("train")
    table.labels(), table.keys()
    for index in range(len(table)):
        table.image_bytes(index), table.annotation_bytes(index)


def read_job(folder: Path) -> None:
    Job(folder / "record.json", read_record(folder / "record.json")).id_holds  # noqa: B018


READERS = {
    "encoder": Reader("encoder.safetensors", load_encoder, checks=True),
    "card of an encoder": Reader("encoder.json", load_encoder),
    "classifier": Reader("classifier.safetensors", load_classifier, checks=True),
    "card of a classifier": Reader("classifier.json", load_classifier),
    "checkpoint": Reader(
        "checkpoint.pt", lambda f: load_checkpoint(f / "checkpoint.pt", "id"), checks=True
    ),
    "history": Reader("metrics.jsonl", lambda f: read_history(f / "metrics.jsonl")),
    "data set": Reader("scenes/dataset.json", lambda f: read_images(f / "scenes")),
    "shard": Reader("scenes/shards/train-00000.arrow", lambda f: read_images(f / "scenes")),
    "shard in a figure": Reader(
        "scenes/shards/train-00000.arrow",
        lambda f: drawings._samples(f / "scenes/shards/train-00000.arrow", ["a"] * 10),
    ),
    "data set in a figure": Reader(
        "scenes/dataset.json", lambda f: drawings._described(f / "scenes/dataset.json")
    ),
    "curves": Reader("metrics.jsonl", lambda f: read_histories(f / "metrics.jsonl")),
    "examples": Reader("examples.npz", lambda f: examples._read(f / "examples.npz", "x")),
    "split": Reader("keys.parquet", lambda f: keys_of(f / "keys.parquet")),
    "predictions": Reader(
        "predictions.parquet", lambda f: read_predictions(f / "predictions.parquet")
    ),
    "confusions": Reader("confusions.parquet", lambda f: read_confusions(f / "confusions.parquet")),
    "variants": Reader("variants.parquet", lambda f: accuracy_of_variants(f / "variants.parquet")),
    "cells": Reader("cells.parquet", lambda f: read_cells(f / "cells.parquet")),
    "metrics": Reader("metrics.json", lambda f: read_metrics(f / "metrics.json")),
    "record": Reader("record.json", read_job),
    "seal": Reader("seal.json", lambda f: read_seal(f / "seal.json")),
    "note of an adoption": Reader("adopted.json", read_adopted),
    "recipe": Reader("recipe.yaml", lambda f: Document(f / "recipe.yaml")),
}
OF_JSON = [name for name, reader in READERS.items() if reader.file.endswith(".json")]


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One small file of each form, all whole."""
    folder = tmp_path_factory.mktemp("whole")
    torch.manual_seed(0)
    store_encoder(folder, "vit_tiny_patch16_224", VIT)
    info = read_encoder_info(folder)
    save_classifier(folder, create_classifier(folder, 2), info, ["a", "b"], 32)
    save_checkpoint(folder / "checkpoint.pt", "id", 3, {"w": torch.arange(500.0), "n": 3})
    lines = [{"step": n, "epoch": n / 4, "time": 0.0, "loss": 1.0} for n in range(1, 9)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    prepare_scenes(folder / "scenes", num_train=10, num_val=10, num_unlabeled=10, size=32)
    images, none = np.zeros((2, 8, 8, 3), np.uint8), np.zeros((0, 2, 8, 8, 3), np.uint8)
    np.savez_compressed(
        folder / "examples.npz", images=images, names=np.array([], np.str_),
        keep=none[..., 0].astype(bool), filtered=none, reconstructed=none,
    )  # fmt: skip
    pq.write_table(pa.table({"key": ["a", "b"], "label": [0, 1]}), folder / "keys.parquet")
    labels, logits = np.array([0, 1, 1]), np.eye(3)
    write_predictions(folder / "predictions.parquet", ["a", "b", "c"], labels, logits)
    write_confusions(folder / "confusions.parquet", ["a"], np.ones((1, 2, 2), np.int64))
    with write_variants(folder / "variants.parquet") as variants:
        variants.add("clean", ["a", "b", "c"], labels, logits)
    write_rows(SCHEMA.empty_table(), folder / "cells.parquet")
    (folder / "metrics.json").write_text('{"top1": 0.5, "n": 3}')
    (folder / "result").write_text("it")
    with opened("probe", "x-s0", "e", work=folder / "work") as record:
        record.finish({"it": folder / "result"}, {"top1": 0.5}, folder / "record.json")
    seal = {"format": 1, "study": "demo", "scale": "demo", "records": {"a": HASH}, "failed": {}}
    seal |= {"files": {}, "chain": chain_digest({"a": HASH}, {}), "parent": None, "digest": HASH}
    (folder / "seal.json").write_text(json.dumps(seal))
    (folder / "adopted.json").write_text('{"records": [{"path": "a", "id": "b"}]}')
    (folder / "recipe.yaml").write_text("optim: {epochs: 3}\nassume: {optim.epochs: as theirs}\n")
    return folder


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Path:
    """A copy of the files that a test may change; of links, for there are hundreds of tests."""
    return shutil.copytree(whole, tmp_path / "copy", copy_function=os.symlink)


def put(path: Path, data: bytes) -> None:
    """Replace what a link leads to by these bytes."""
    path.unlink(missing_ok=True)
    path.write_bytes(data)


def refusal(reader: Reader, folder: Path) -> str:
    """The line with which a reader refuses; it is one, and names the file."""
    with pytest.raises(InputError) as error:
        reader.read(folder)
    line = str(error.value)
    assert "\n" not in line
    assert Path(reader.file).name in line
    return line


@pytest.mark.parametrize("name", READERS)
def test_a_whole_file_is_read(copy, name):
    READERS[name].read(copy)


MAY_BE_ABSENT = ("seal", "note of an adoption", "history", "curves")
REFUSED = "refused, the file is named"
DAMAGES: dict[str, Callable[[bytes], bytes | None]] = {
    "empty": lambda data: b"",
    "cut": lambda data: data[: len(data) // 2],
    "other": lambda data: b"\xff\xfe\x00 something else: [",
    "folder": lambda data: None,
    "gone": lambda data: None,
}


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(
            "empty",
            marks=fault("Bytes", "a file that is empty, of any form that is read", REFUSED),
        ),
        pytest.param("cut", marks=fault("Bytes", "a file that is cut short, of any form", REFUSED)),
        pytest.param(
            "other", marks=fault("Bytes", "a file that holds something else, of any form", REFUSED)
        ),
        pytest.param("folder", marks=fault("Bytes", "a folder where a file belongs", REFUSED)),
        "gone",
    ],
)
@pytest.mark.parametrize("name", READERS)
def test_a_damaged_file_is_refused_by_its_name(copy, name, damage):
    reader = READERS[name]
    path = copy / reader.file
    data = DAMAGES[damage](path.read_bytes())
    if name in ("history", "curves") and damage != "folder":
        data = path.read_bytes().replace(b'"epoch"', b'"epo', 1)  # what a kill leaves is no damage
    if name == "recipe" and damage in ("empty", "cut"):
        data = b"optim: {epochs"
    if damage in ("folder", "gone") and name in MAY_BE_ABSENT:
        return  # as if it were not there
    if damage == "gone" and name == "checkpoint":
        return  # the training begins
    path.unlink()
    if data is not None:
        put(path, data)
    elif damage == "folder":
        path.mkdir()

    refusal(reader, copy)


@fault(
    "Bytes",
    "one flipped bit in an encoder, a classifier or a checkpoint",
    "refused by its digest or checksum, the file is named",
    lost="of a checkpoint: the updates since the start, when it is deleted",
)
@pytest.mark.parametrize("name", [name for name, reader in READERS.items() if reader.checks])
def test_a_flipped_bit_in_weights_is_never_let_in(copy, name):
    reader = READERS[name]
    path = copy / reader.file
    data = path.read_bytes()
    # Where the weights are: in the middle of each form.
    for place in (0.4, 0.5, 0.6):
        spoilt = bytearray(data)
        spoilt[int(len(data) * place)] ^= 16
        put(path, spoilt)
        refusal(reader, copy)


@fault(
    "Bytes",
    "flipped bits in any other file",
    "refused by its name where its form is broken; else `verify` names it, by its digest",
)
@pytest.mark.parametrize("name", READERS)
def test_flipped_bits_never_end_in_a_traceback(copy, name):
    reader = READERS[name]
    path = copy / reader.file
    data, rng = path.read_bytes(), random.Random(0)
    for _ in range(25):
        spoilt = bytearray(data)
        for _ in range(rng.choice([1, 3])):
            near_an_end = rng.choice([len(data), min(len(data), 600)])
            place = rng.randrange(near_an_end)
            spoilt[rng.choice([place, len(data) - 1 - place])] ^= 1 << rng.randrange(8)
        put(path, spoilt)
        try:
            reader.read(copy)
        except InputError as error:
            assert "\n" not in str(error)  # noqa: PT017 - it may also be read


ODD = {
    "a list": "[]",
    "nothing": "null",
    "no keys": "{}",
    "nested": "[" * 100_000,
    "not a number": '{"format": 1, "top1": NaN}',
    "infinite": '{"format": 1, "top1": 1e999}',
    "half a character": '{"format": 1, "name": "\\ud800"}',
    "a key twice": '{"format": 1, "top1": 0.9, "top1": 0.5}',
    "an older version": '{"format": 0}',
}


@fault(
    "Bytes",
    "JSON of another form or of an older version, nested without end, with NaN, with a key twice",
    REFUSED,
)
@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("name", OF_JSON)
def test_json_that_is_not_ours_is_refused(copy, name, odd):
    if name == "metrics" and odd in ("no keys", "an older version"):
        return  # any metrics may be there, or none
    put(copy / READERS[name].file, ODD[odd].encode())

    refusal(READERS[name], copy)


@fault("Bytes", "a value of another type in a JSON file", REFUSED)
@pytest.mark.parametrize(
    "name", [n for n in OF_JSON if not n.startswith(("metrics", "data set in"))]
)
def test_a_key_of_another_type_never_ends_in_a_traceback(copy, name):
    path = copy / READERS[name].file
    values = json.loads(path.read_text())
    refused = 0
    for key in values:
        for odd in (None, 7, -1, "x", [], {}, [7], {"a": 7}, 10**400, True):
            put(path, json.dumps({**values, key: odd}).encode())
            try:
                READERS[name].read(copy)
            except InputError as error:
                assert path.name in str(error) or "safetensors" in str(error)  # noqa: PT017
                refused += 1
    assert refused > 5 * len(values) or name == "note of an adoption"


def test_colors_and_classes_of_a_card_are_counted(copy):
    card = json.loads((copy / "encoder.json").read_text())
    put(copy / "encoder.json", json.dumps(card | {"mean": [0.5]}).encode())
    assert "mean" in refusal(READERS["card of an encoder"], copy)

    card = json.loads((copy / "classifier.json").read_text())
    put(copy / "classifier.json", json.dumps(card | {"classes": ["a"]}).encode())
    assert "expected num_classes 1" in refusal(READERS["card of a classifier"], copy)


@fault(
    "Bytes",
    "the weights of another encoder beside a card",
    "refused, with both digests",
)
def test_weights_of_another_run_are_refused(copy):
    card = (copy / "encoder.json").read_text()
    store_encoder(copy, "vit_tiny_patch16_224", VIT)
    put(copy / "encoder.json", card.encode())

    assert "sha256" in refusal(READERS["encoder"], copy)


def resume(work: Path, part: torch.nn.Module, identity: str) -> None:
    plan = Plan(work, identity, 3, 1, 1, 1e9, lambda _step, _values: None)
    train(
        plan,
        World(0, 1, torch.device("cpu")),
        {"model": part},
        lambda _start: iter(()),
        lambda *_: {},
    )


@fault(
    "Bytes",
    "a checkpoint whose parts are those of other code or of another encoder",
    "refused, the part is named: `delete it to start anew`",
    lost="the updates since the start, when it is deleted",
)
@pytest.mark.parametrize("state", [{}, {"model": {"weight": torch.ones(7)}}, {"model": 3}])
def test_a_checkpoint_of_other_parts_is_refused(tmp_path, state):
    save_checkpoint(tmp_path / "checkpoint.pt", "id", 1, state)

    with pytest.raises(InputError, match=r"checkpoint\.pt: 'model' does not fit .* delete"):
        resume(tmp_path, torch.nn.Linear(2, 2), "id")


@fault(
    "Bytes",
    "a checkpoint of another recipe, seed, data or code",
    "said in one line, and the training starts anew",
    lost="nothing of this training",
)
def test_a_checkpoint_of_another_recipe_is_not_continued(tmp_path, capsys):
    save_checkpoint(tmp_path / "checkpoint.pt", "another", 1, {})

    resume(tmp_path, torch.nn.Linear(2, 2), "id")

    assert "made by another recipe, seed, data or code; starting anew" in capsys.readouterr().err


@fault(
    "Bytes",
    "a history whose last line was cut off by a kill",
    "the line is dropped, the training goes on",
    lost="one line of the history, made again",
)
def test_the_half_line_of_a_kill_is_dropped(copy):
    path = copy / "metrics.jsonl"
    put(path, path.read_bytes() + b'{"step": 9, "epo')

    assert [line["step"] for line in read_history(path)] == list(range(1, 9))


@fault("Bytes", "a damaged line within a history", "refused with its number: nothing is cut away")
def test_a_damaged_line_within_a_history_is_not_taken_for_its_end(copy):
    path = copy / "metrics.jsonl"
    lines = path.read_text().splitlines()
    put(path, "\n".join([*lines[:3], lines[3][:9], *lines[4:]]).encode())

    with pytest.raises(InputError, match=r"metrics\.jsonl:4: invalid line of a history"):
        read_history(path)
