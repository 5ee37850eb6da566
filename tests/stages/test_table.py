"""The table of stages holds together."""

import pytest

from folk.evidence.study.stage import Metric, _function
from folk.stages.table import NAMES, STAGES

METRICS = [
    pytest.param(stage, metric, id=f"{stage.name}/{name}")
    for stage in STAGES.values()
    for name, metric in stage.metrics.items()
]


def test_a_stage_has_the_name_of_its_module():
    assert [stage.name for stage in STAGES.values()] == list(NAMES)
    assert all(stage.summary.endswith(".") for stage in STAGES.values())


@pytest.mark.parametrize(("stage", "metric"), METRICS)
def test_a_metric_names_functions_that_exist_and_a_file_that_its_stage_leaves(stage, metric):
    assert metric.file in stage.outputs.values()
    assert all(callable(_function(name)) for name in (metric.value, metric.images) if name)


def test_a_pattern_of_metrics_holds_for_all_of_its_names():
    found = {
        name: STAGES["probe"].metric(name)
        for name in ("knn_top1_k20", "knn_top1_k10", "linear_top1_best")
    }

    assert isinstance(found["knn_top1_k20"], Metric)
    assert found["knn_top1_k20"] is found["knn_top1_k10"]
    assert found["linear_top1_best"] is None


def test_what_follows_from_a_declaration():
    flags = {
        name: (stage.is_evaluation, stage.has_predictions, stage.tells_quality, stage.continues)
        for name, stage in STAGES.items()
    }

    assert flags == {
        "prepare": (False, False, False, False),
        "split": (False, False, False, False),
        "pretrain": (False, False, True, True),
        "finetune": (True, True, True, True),
        "probe": (True, True, True, True),
        "segment": (True, True, True, True),
        "robustness": (True, True, True, False),
        "cost": (True, False, False, False),
        "report": (False, False, False, False),
    }
    shared = [name for name, stage in STAGES.items() if stage.several_processes]
    assert shared == ["pretrain", "finetune", "probe", "segment", "robustness"]
