"""Numbers that are none are refused where they arise, and small samples claim nothing."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from folk.data.splits import draw_split
from folk.evidence.core.errors import InputError
from folk.evidence.results.bootstrap import image_bootstrap
from folk.evidence.results.evidence import image_scores
from folk.evidence.results.metrics.classification import ranked, top_k_of_file, write_predictions
from folk.evidence.results.metrics.knn import knn_votes
from folk.filters.apply import apply_filter
from folk.filters.com_rcom import ComRComFilter
from folk.filters.rng import BatchRng
from folk.methods.losses import WeightMatrix, masked_frequency_loss
from folk.stages.neighbors import nearest
from folk.stages.table import STAGES, load_recipe
from tests.faults.table import fault

LABELS = np.array([0, 1, 2])
LOGITS = np.eye(3, dtype=np.float32)


def spoilt(path, value):
    """Replace the first stored score."""
    table = pq.ParquetFile(path).read()
    scores = table["probability"].to_pylist()
    scores[0][0] = value
    column = pa.array(scores, table.schema.field("probability").type)
    pq.write_table(
        table.set_column(table.schema.get_field_index("probability"), "probability", column), path
    )


@fault(
    "Numbers",
    "stored predictions in which a score is NaN or infinite",
    "refused when a number is computed from them",
)
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_no_number_is_computed_from_scores_that_are_none(tmp_path, value):
    path = tmp_path / "p.parquet"
    write_predictions(path, ["a", "b", "c"], LABELS, LOGITS)
    assert top_k_of_file(path) == 1.0

    spoilt(path, value)

    with pytest.raises(InputError, match=r"p\.parquet: .*non-finite scores") as error:
        top_k_of_file(path)
    assert str(error.value).startswith(str(path))


@fault("Numbers", "a rate of infinity or NaN in a recipe", "refused, by line and key")
@pytest.mark.parametrize("value", [float("inf"), float("nan")])
def test_a_rate_that_is_not_finite_is_refused(value):
    recipe = Path("config/recipes/finetune/demo-full.yaml")

    with pytest.raises(InputError, match=r"demo-full\.yaml:\d+: optim\.lr: .*finite number"):
        load_recipe("finetune", recipe, {"optim.lr": value})


@fault("Numbers", "scores that are NaN during a training", "refused; no class is named by chance")
def test_scores_that_are_none_have_no_order():
    with pytest.raises(InputError, match="non-finite scores of image 1"):
        ranked(np.array([[1.0, 2.0], [np.nan, 0.0]]), 1)


@fault("Numbers", "one image to measure on", "no interval over images")
def test_one_image_has_no_interval(tmp_path):
    write_predictions(tmp_path / "predictions.parquet", ["a"], LABELS[:1], LOGITS[:1])
    one = image_scores(STAGES["finetune"], tmp_path, "top1_last")

    assert image_bootstrap([[one]], "mean") is None
    write_predictions(tmp_path / "predictions.parquet", ["a", "b"], LABELS[:2], LOGITS[:2])
    two = image_scores(STAGES["finetune"], tmp_path, "top1_last")
    assert image_bootstrap([[two]], "mean") is not None


@fault(
    "Numbers",
    "a class of the data set without a training image, in a split of k per class or of a share",
    "refused, by class",
)
@pytest.mark.parametrize("how", [{"per_class": 1}, {"fraction": 0.5}])
def test_a_class_without_an_image_is_not_passed_over(how):
    labels = np.array([0, 0, 2, 2])

    with pytest.raises(InputError, match="class 1"):
        draw_split(labels, ["a", "b", "c", "d"], seed=0, num_classes=3, **how)
    with pytest.raises(InputError, match="class 3"):
        draw_split(np.array([0, 1, 2]), ["a", "b", "c"], seed=0, num_classes=4, per_class=1)


@fault("Numbers", "k-NN with k above the number of images", "all of them vote")
def test_more_neighbors_than_there_are_is_all_of_them():
    features, labels = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]]), np.array([0, 1, 1])

    similarity, places = nearest(features, features, 200, torch.device("cpu"))

    assert places.shape == (3, 3)
    best = knn_votes(similarity, labels[places], 0.07, 3).argmax(axis=1)
    assert 2 not in best  # a class without an image


COLORS = {"black": 0.0, "gray": 0.37, "white": 1.0}


@pytest.mark.parametrize("size", [32, 33, 224])
@pytest.mark.parametrize("value", COLORS.values(), ids=COLORS)
@pytest.mark.parametrize("mode", ["fraction", "relative_max"])
def test_an_image_of_one_color_keeps_its_mean_under_com_and_nothing_under_rcom(size, value, mode):
    images = torch.full((2, 3, size, size), value)
    com, rcom = (
        ComRComFilter(p_com=p, threshold_mode=mode)(images, BatchRng(0, 2)) for p in (1.0, 0.0)
    )

    torch.testing.assert_close(apply_filter(images, com, clamp=False), images)
    torch.testing.assert_close(apply_filter(images, rcom, clamp=False), torch.zeros_like(images))
    if value == 0.0:
        assert not com.any()
        assert rcom.all()


@pytest.mark.parametrize("weights", [None, WeightMatrix(), WeightMatrix(log=True)])
@pytest.mark.parametrize("normalize", ["batch", "image"])
@pytest.mark.parametrize("p_com", [0.0, 1.0])
def test_the_loss_of_a_black_image_and_its_gradient_are_finite(weights, normalize, p_com):
    images = torch.zeros(2, 3, 32, 32)
    keep = ComRComFilter(p_com=p_com)(images, BatchRng(0, 2))
    prediction = torch.zeros(2, 3, 32, 32, requires_grad=True)

    loss = masked_frequency_loss(
        prediction, images, keep, normalize=normalize, weight_matrix=weights, gamma=0.5
    )
    loss.backward()

    assert loss.isfinite()
    assert prediction.grad.isfinite().all()
