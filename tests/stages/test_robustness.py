"""A stored classifier is measured on every variant, among the classes of each set alone."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from folk.data.datasets.source import Entry, RawImage, Source
from folk.data.store import store_images
from folk.evidence.core.errors import InputError
from folk.evidence.results.metrics.corruption import SEVERITIES
from folk.models.classifier import create_classifier, save_classifier
from folk.models.encoder import read_encoder_info
from folk.stages.table import load_recipe
from tests.toy import do_stage

CLASSES = ["ant", "bee", "cat", "dog"]
VIT = {"img_size": 32, "patch_size": 8, "embed_dim": 24, "depth": 1, "num_heads": 2}
SMALL = {"in_memory": ["contrast"], "evaluate.batch": 7}


def store(
    folder: Path,
    classes: list[str],
    splits: dict[str, int],
    wnids: list[str] | None = None,
    kind: str = "folder",
    called: list[str] | None = None,
) -> Path:
    """A prepared data set of noise in one color for each class, which may be called otherwise."""
    rng = np.random.default_rng(0)

    def pixels(label: int) -> np.ndarray:
        tint = 60 * CLASSES.index(classes[label]) if classes[label] in CLASSES else 0
        return (rng.integers(0, 40, (32, 32, 3)) + tint).astype(np.uint8)

    def images():
        for split, count in splits.items():
            for number in range(count):
                label = number % len(classes)
                key = f"{split}/{number:03}"
                yield Entry(key, label, split, RawImage(key, partial(pixels, label)))

    source = Source(kind, called or classes, images, wnids=wnids)
    store_images(source, folder, name=folder.name, identity="", sources=[], threads=1)
    return folder


@pytest.fixture(scope="module")
def classifier(store_encoder):
    """Four classes by brightness: trained for a moment, so that it is right more often than not."""
    folder = store_encoder("vit_tiny_patch16_224", VIT)
    model = create_classifier(folder, 4, head_scale=1.0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    for _ in range(40):
        labels = torch.randint(4, (32,))
        images = (torch.randint(0, 40, (32, 3, 32, 32)) + 60 * labels.view(-1, 1, 1, 1)) / 255.0
        loss = torch.nn.functional.cross_entropy(model((images - 0.5) / 0.25), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.5
    save_classifier(folder, model, read_encoder_info(folder), CLASSES, 32)
    return folder


WNIDS = ["n00000011", "n00000022", "n00000033", "n00000044"]  # of the four classes


@pytest.fixture(scope="module")
def classifier_of_wnids(classifier, tmp_path_factory):
    folder = tmp_path_factory.mktemp("wnids")
    (folder / "classifier.safetensors").write_bytes(
        (classifier / "classifier.safetensors").read_bytes()
    )
    said = json.loads((classifier / "classifier.json").read_text())
    (folder / "classifier.json").write_text(json.dumps(said | {"wnids": WNIDS}))
    return folder


def measure(classifier, datasets, work, settings=SMALL):
    recipe = load_recipe("robustness", Path("config/recipes/robustness/demo.yaml"), settings)
    return do_stage("robustness", recipe, work, classifier=classifier, dataset=datasets)


def test_every_split_but_those_for_training_is_a_variant(classifier, tmp_path):
    clean = store(tmp_path / "clean", CLASSES, {"train": 8, "val": 20})
    other = store(
        tmp_path / "other", CLASSES, {"val": 8} | {f"fog-{severity}": 4 for severity in SEVERITIES}
    )

    metrics = measure(classifier, [clean, other], tmp_path / "work")

    stored = pq.read_table(tmp_path / "work/predictions-variants.parquet")
    assert list(dict.fromkeys(stored["variant"].to_pylist())) == [
        "clean", *(f"in-memory/contrast-{s}" for s in SEVERITIES), "fgsm", "pgd", "other",
        *(f"other/fog-{s}" for s in SEVERITIES),
    ]  # fmt: skip
    assert metrics.keys() >= {"top1_clean", "top1_other", "error_other", "error_in-memory"}
    assert metrics["top1_clean"] > 0.9
    assert metrics["num_val"] == 20


def test_a_set_with_fewer_classes_restricts_the_logits_to_its_own_by_name(classifier, tmp_path):
    clean = store(tmp_path / "clean", CLASSES, {"val": 8})
    # Its labels 0 and 1 are the classifier's 3 and 1.
    part = store(tmp_path / "part", ["dog", "bee"], {"val": 20})

    metrics = measure(classifier, [clean, part], tmp_path / "work")

    stored = pq.read_table(tmp_path / "work/predictions-variants.parquet").to_pylist()
    assert metrics["top1_part"] > 0.9
    assert all(row["predicted"] in (0, 1) for row in stored if row["variant"] == "part")


def test_a_set_whose_classes_have_other_names_is_found_by_wordnet_id(classifier_of_wnids, tmp_path):
    clean = store(tmp_path / "clean", CLASSES, {"val": 8}, WNIDS)
    # As ImageNet-A and R: part of the classes, in another order, called by their ids.
    ids = [WNIDS[3], WNIDS[1]]
    part = store(tmp_path / "imagenet-a", ["dog", "bee"], {"val": 20}, ids, called=ids)

    metrics = measure(classifier_of_wnids, [clean, part], tmp_path / "work")

    stored = pq.read_table(tmp_path / "work/predictions-variants.parquet").to_pylist()
    assert metrics["top1_clean"] > 0.9
    assert metrics["top1_imagenet-a"] > 0.9
    assert all(row["predicted"] in (0, 1) for row in stored if row["variant"] == "imagenet-a")


def test_the_numbers_of_imagenet_v2_count_the_classes(classifier_of_wnids, tmp_path):
    clean = store(tmp_path / "clean", CLASSES, {"val": 8}, WNIDS)
    numbers = ["0", "1", "2", "3"]
    v2 = store(tmp_path / "v2", CLASSES, {"val": 20}, kind="imagenet-v2", called=numbers)

    assert measure(classifier_of_wnids, [clean, v2], tmp_path / "work")["top1_v2"] > 0.9


def test_a_class_that_was_not_trained_on_is_refused_by_its_id(classifier_of_wnids, tmp_path):
    clean = store(tmp_path / "clean", CLASSES, {"val": 8}, WNIDS)
    ids = [WNIDS[0], "n99999999"]
    other = store(tmp_path / "other", ["ant", "bee"], {"val": 4}, ids, called=ids)

    with pytest.raises(InputError, match=r"other: test data: 1 unknown classes.*: n99999999"):
        measure(classifier_of_wnids, [clean, other], tmp_path / "work")


def test_a_classifier_without_ids_says_what_a_set_of_other_names_needs(classifier, tmp_path):
    clean = store(tmp_path / "clean", CLASSES, {"val": 8}, WNIDS)
    part = store(tmp_path / "part", ["dog", "bee"], {"val": 4}, WNIDS[:2], called=WNIDS[:2])

    with pytest.raises(InputError, match="part: training data: missing wnids"):
        measure(classifier, [clean, part], tmp_path / "work")


def test_an_unknown_class_is_refused(classifier, tmp_path):
    clean = store(tmp_path / "clean", CLASSES, {"val": 8})
    other = store(tmp_path / "other", ["ant", "cow"], {"val": 4})

    with pytest.raises(InputError, match="unknown class 'cow', none of the classifier's 4"):
        measure(classifier, [clean, other], tmp_path / "work")
    assert not (tmp_path / "work/predictions-variants.parquet").exists()


def test_attacks_harm_and_a_larger_bound_harms_more(classifier, tmp_path):
    clean = store(tmp_path / "clean", CLASSES, {"val": 40})
    found = {}
    for eps in (1.0, 80.0):
        attack = {"attack.eps": eps, "attack.pgd_step": eps / 2}
        settings = {"in_memory": [], "evaluate.batch": 40, **attack}
        found[eps] = measure(classifier, [clean], tmp_path / f"{eps}", settings)

    assert found[80.0]["top1_pgd"] < found[1.0]["top1_pgd"] <= found[1.0]["top1_clean"]
    assert found[80.0]["top1_pgd"] <= found[80.0]["top1_fgsm"]


def test_neither_batches_nor_chance_change_a_prediction(classifier, tmp_path):
    clean = store(tmp_path / "clean", CLASSES, {"val": 20})
    settings = {"in_memory": ["gaussian_noise"], "attack.random_start": True}
    stored = []
    for number, batch in enumerate((3, 20)):
        work = tmp_path / f"{number}"
        measure(classifier, [clean], work, settings | {"evaluate.batch": batch})
        stored.append(pq.read_table(work / "predictions-variants.parquet").to_pandas())

    one, two = stored
    assert one["key"].tolist() == two["key"].tolist()
    assert one["predicted"].tolist() == two["predicted"].tolist()
